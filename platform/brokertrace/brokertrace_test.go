package brokertrace

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/docmill/docmill/contract/message"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// recorded is a tracer whose spans are recorded.
type recorded struct {
	Tracer

	spans *tracetest.SpanRecorder
}

func record() recorded {
	spans := tracetest.NewSpanRecorder()
	tracer := New("test")
	tracer.tracer = sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)).Tracer("test")
	return recorded{tracer, spans}
}

func (r recorded) named(t *testing.T, name string) sdk.ReadOnlySpan {
	t.Helper()
	for _, span := range r.spans.Ended() {
		if span.Name() == name {
			return span
		}
	}
	require.Fail(t, "no span "+name)
	return nil
}

// publish returns a delivery of what was published in the trace of ctx.
func (r recorded) publish(t *testing.T, ctx context.Context, job string) *message.Delivery { //nolint:revive // t comes first in tests
	t.Helper()
	d := &message.Delivery{}
	m := message.Message{Body: &conversionv1.ConversionStarted{JobId: job}, JobID: job}
	err := r.Send(ctx, m, func(ctx context.Context) (err error) {
		d.Envelope, err = message.Encode(ctx, m, "test")
		return err
	})
	require.NoError(t, err)
	return d
}

func (r recorded) request(t *testing.T) (context.Context, trace.Span) {
	t.Helper()
	return r.tracer.Start(t.Context(), "request")
}

func TestHandlingIsChildOfPublication(t *testing.T) {
	t.Parallel()
	r := record()
	ctx, request := r.request(t)
	d := r.publish(t, ctx, "job")
	for redeliveries := range 2 {
		d.DeliveryCount = redeliveries
		_, span := r.Process(d.Context(t.Context()), message.Events, d)
		span.End()
	}
	sent := r.named(t, "send ConversionStarted")
	require.Equal(t, request.SpanContext().SpanID(), sent.Parent().SpanID())
	require.Equal(t, trace.SpanKindProducer, sent.SpanKind())
	require.Contains(t, sent.Attributes(), attribute.String("docmill.job_id", "job"))
	var redeliveries []attribute.KeyValue
	for _, span := range r.spans.Ended()[1:] {
		require.Equal(t, "process ConversionStarted", span.Name())
		require.Equal(t, trace.SpanKindConsumer, span.SpanKind())
		require.Equal(t, sent.SpanContext().SpanID(), span.Parent().SpanID())
		for _, a := range span.Attributes() {
			if a.Key == "docmill.redeliveries" {
				redeliveries = append(redeliveries, a)
			}
		}
	}
	require.Equal(t, []attribute.KeyValue{attribute.Int("docmill.redeliveries", 0), attribute.Int("docmill.redeliveries", 1)}, redeliveries)
}

func TestFailedPublication(t *testing.T) {
	t.Parallel()
	r := record()
	err := errors.New("no connection")
	require.Equal(t, err, r.Send(t.Context(), message.Message{Body: &conversionv1.ConversionStarted{}}, func(context.Context) error { return err }))
	require.Equal(t, codes.Error, r.named(t, "send ConversionStarted").Status().Code)
}

// TestBatchOfSeveralJobsIsLinked: the span of the batch belongs to none of them, and each has a span that leads to it.
func TestBatchOfSeveralJobsIsLinked(t *testing.T) {
	t.Parallel()
	r := record()
	var batch []*message.Delivery
	for _, job := range []string{"one", "two"} {
		ctx, request := r.request(t)
		batch = append(batch, r.publish(t, ctx, job))
		request.End()
	}
	batch[1].DeadLetter()
	_, end := r.ProcessBatch(t.Context(), message.Events, batch)
	end(nil)

	whole := r.named(t, "process events")
	require.False(t, whole.Parent().IsValid())
	require.Len(t, whole.Links(), 2)
	outcomes := map[trace.TraceID]string{}
	for _, s := range r.spans.Ended() {
		if s.Name() != "process ConversionStarted" {
			continue
		}
		require.Equal(t, whole.SpanContext().SpanID(), s.Links()[0].SpanContext.SpanID())
		for _, a := range s.Attributes() {
			if a.Key == "docmill.outcome" {
				outcomes[s.SpanContext().TraceID()] = a.Value.AsString()
			}
		}
	}
	require.Equal(t, map[trace.TraceID]string{
		whole.Links()[0].SpanContext.TraceID(): "acked", whole.Links()[1].SpanContext.TraceID(): "dead_lettered",
	}, outcomes)
}

// TestBatchOfOneJobBelongsToItsTrace, so that the queries of the batch do too.
func TestBatchOfOneJobBelongsToItsTrace(t *testing.T) {
	t.Parallel()
	r := record()
	ctx, request := r.request(t)
	batch := []*message.Delivery{
		r.publish(t, ctx, "job"), r.publish(t, ctx, "job"), r.publish(t, t.Context(), "another, which is not sampled"),
	}
	batch[2].Trace = nil
	_, end := r.ProcessBatch(t.Context(), message.Events, batch)
	end(nil)
	whole := r.named(t, "process events")
	require.Equal(t, request.SpanContext().TraceID(), whole.SpanContext().TraceID())
	require.Len(t, whole.Links(), 1)
}

func TestProgressIsNotTraced(t *testing.T) {
	t.Parallel()
	r := record()
	require.NoError(t, r.Send(t.Context(), message.Message{Body: &conversionv1.ConversionProgressed{}}, func(context.Context) error { return nil }))
	d := &message.Delivery{}
	_, span := r.Process(t.Context(), message.Progress, d)
	span.End()
	_, end := r.ProcessBatch(t.Context(), message.Progress, []*message.Delivery{d})
	end(nil)
	require.Empty(t, r.spans.Started())
}
