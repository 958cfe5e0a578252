// Package phase measures the phases of an attempt at a conversion: each is a span of the job's trace and an observation of a
// histogram.
package phase

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"

	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/platform/tracing"
)

// Name is the name of a phase.
type Name string

// The phases of an attempt. Preflight runs while LibreOffice works, and Load and Export may be repeated.
const (
	// Wait is the wait for a slot.
	Wait Name = "wait"
	// Fetch copies the document from the store.
	Fetch Name = "fetch"
	// Preflight scans the document for the report.
	Preflight Name = "preflight"
	// Load is the opening of the document in LibreOffice, and Export the writing of the result.
	Load   Name = "load"
	Export Name = "export"
	// Finish encrypts a PDF or draws images of its pages.
	Finish Name = "finish"
	// Store stores the result.
	Store Name = "store"
)

// Phases measures phases. It is safe for concurrent use. A nil *Phases measures nothing.
type Phases struct {
	tracer    trace.Tracer
	durations *prometheus.HistogramVec
}

// New registers the histogram.
func New(registry prometheus.Registerer) *Phases {
	p := &Phases{
		tracer: otel.Tracer("github.com/docmill/docmill/services/converter"),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: "converter", Name: "phase_duration_seconds",
			Help:    "Duration of the phases of attempts, whatever their outcome.",
			Buckets: metrics.DurationBuckets(),
		}, []string{"phase"}),
	}
	registry.MustRegister(p.durations)
	for _, name := range []Name{Wait, Fetch, Preflight, Load, Export, Finish, Store} {
		p.durations.WithLabelValues(string(name))
	}
	return p
}

// Start begins a phase. The caller calls end once, with the error of the phase or nil.
func (p *Phases) Start(ctx context.Context, name Name) (in context.Context, end func(error)) {
	if p == nil {
		return ctx, func(error) {}
	}
	began := time.Now()
	ctx, span := p.tracer.Start(ctx, string(name))
	return ctx, func(err error) {
		p.durations.WithLabelValues(string(name)).Observe(time.Since(began).Seconds())
		tracing.End(span, err)
	}
}

// Span starts a span that groups phases.
func (p *Phases) Span(ctx context.Context, name string) (context.Context, trace.Span) {
	if p == nil {
		return ctx, trace.SpanFromContext(context.Background())
	}
	return p.tracer.Start(ctx, name)
}

// Sequence measures phases of which each ends when the next begins. It is not safe for concurrent use.
type Sequence struct {
	phases  *Phases
	ctx     context.Context //nolint:containedctx // of all its phases
	current Name
	end     func(error)
}

// Sequence returns a sequence without a phase.
func (p *Phases) Sequence(ctx context.Context) *Sequence {
	return &Sequence{phases: p, ctx: ctx, end: func(error) {}}
}

// Enter ends the current phase and begins another one. It does nothing if that is the current one.
func (s *Sequence) Enter(name Name) {
	if name == s.current {
		return
	}
	s.end(nil)
	s.current = name
	_, s.end = s.phases.Start(s.ctx, name)
}

// End ends the current phase, and with it the sequence.
func (s *Sequence) End(err error) { s.end(err) }
