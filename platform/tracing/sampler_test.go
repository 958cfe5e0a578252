package tracing

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// sampled reports whether a span is sampled that begins in ctx.
func sampled(ctx context.Context, ratio float64, options ...trace.SpanStartOption) bool {
	tracer := sdk.NewTracerProvider(sdk.WithSampler(newSampler(ratio))).Tracer("test")
	_, span := tracer.Start(ctx, "span", options...)
	return span.SpanContext().IsSampled()
}

var (
	server   = trace.WithSpanKind(trace.SpanKindServer)
	consumer = trace.WithSpanKind(trace.SpanKindConsumer)
)

// of returns the context of a span.
func of(flags trace.TraceFlags) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: flags, Remote: true})
}

func TestRequestsAreSampledByRatio(t *testing.T) {
	t.Parallel()
	count := 0
	for range 1000 {
		require.True(t, sampled(t.Context(), 1, server))
		require.False(t, sampled(t.Context(), 0, server))
		if sampled(t.Context(), .5, server) {
			count++
		}
	}
	require.InDelta(t, 500, count, 150)
}

func TestParentDecides(t *testing.T) {
	t.Parallel()
	for flags, want := range map[trace.TraceFlags]bool{0: false, trace.FlagsSampled: true} {
		ctx := trace.ContextWithRemoteSpanContext(t.Context(), of(flags))
		require.Equal(t, want, sampled(ctx, 0, server))
		require.Equal(t, want, sampled(ctx, 1, consumer))
	}
}

func TestBatchIsSampledIfOneOfItsMessagesIs(t *testing.T) {
	t.Parallel()
	without, with := trace.Link{SpanContext: of(0)}, trace.Link{SpanContext: of(trace.FlagsSampled)}
	require.True(t, sampled(t.Context(), 0, consumer, trace.WithLinks(without, with)))
	require.False(t, sampled(t.Context(), 1, consumer, trace.WithLinks(without)))
}

func TestPeriodicWorkIsNotSampled(t *testing.T) {
	t.Parallel()
	require.False(t, sampled(t.Context(), 1))
	require.False(t, sampled(t.Context(), 1, trace.WithSpanKind(trace.SpanKindClient)))
}

// TestUntrustedClientsDecideNothing uses trace ids that a sampler by trace id would treat differently.
func TestUntrustedClientsDecideNothing(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"00000000000000010000000000000001", "ffffffffffffffffffffffffffffffff"} {
		for _, flags := range []string{"00", "01"} {
			header := propagation.HeaderCarrier(http.Header{"Traceparent": {"00-" + id + "-00000000000000ff-" + flags}})
			ctx := Untrusted{}.Extract(t.Context(), header)
			require.False(t, sampled(ctx, 0, server))
			require.True(t, sampled(ctx, 1, server))
			require.Equal(t, id, trace.SpanContextFromContext(ctx).TraceID().String(), "the logs of both sides name it")
		}
	}
	require.False(t, trace.SpanContextFromContext(Untrusted{}.Extract(t.Context(), propagation.HeaderCarrier{})).HasTraceID())
}

func TestRatioIsValidated(t *testing.T) {
	t.Parallel()
	require.NoError(t, Config{Ratio: 0}.Validate())
	require.NoError(t, Config{Ratio: 1}.Validate())
	require.Error(t, Config{Ratio: -.1}.Validate())
	require.Error(t, Config{Ratio: 1.1}.Validate())
	require.Error(t, Config{Endpoint: "collector:4318"}.Validate())
	require.NoError(t, Config{Endpoint: "http://collector:4318"}.Validate())
}
