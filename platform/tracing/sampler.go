package tracing

import (
	"context"
	"math/rand/v2"

	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// newSampler returns a sampler that follows the decision of the parent. Without a parent:
//
//   - A request is sampled with the probability ratio. The decision does not depend on the trace id, which a client that is not
//     trusted may have chosen.
//   - A batch of messages is sampled if one of them is, which it is linked to. So no sampled span has a link that leads
//     nowhere.
//   - Everything else is periodic work of a service, such as a health check, and is not sampled.
func newSampler(ratio float64) sdk.Sampler { return sdk.ParentBased(roots{ratio}) }

type roots struct{ ratio float64 }

// ShouldSample implements sdk.Sampler.
func (r roots) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	if r.samples(p) {
		return sdk.SamplingResult{Decision: sdk.RecordAndSample}
	}
	return sdk.SamplingResult{Decision: sdk.Drop}
}

func (r roots) samples(p sdk.SamplingParameters) bool {
	if p.Kind == trace.SpanKindServer {
		return rand.Float64() < r.ratio //nolint:gosec // it need not be secret
	}
	for _, link := range p.Links {
		if link.SpanContext.IsSampled() {
			return true
		}
	}
	return false
}

// Description implements sdk.Sampler.
func (roots) Description() string { return "docmill" }

// Untrusted is the propagator of a server whose clients are not trusted. Of a client's trace context it keeps only the trace
// id, which connects the logs of both sides. The sampled flag would let clients decide how much is recorded and stored.
type Untrusted struct{ propagation.TraceContext }

// Extract implements propagation.TextMapPropagator.
func (u Untrusted) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	of := trace.SpanContextFromContext(u.TraceContext.Extract(context.Background(), carrier))
	if !of.IsValid() {
		return ctx
	}
	// Without a span id it is not a parent, so the sampler decides as for any new request.
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: of.TraceID()}))
}
