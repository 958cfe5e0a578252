// Package events consumes the events about jobs: it applies each batch to the job store in one transaction, and only
// then acknowledges it. A mark among them moves the watermark.
package events

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/services/status/internal/watermark"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// Consumer applies events.
type Consumer struct {
	store    jobstore.Store
	maxBatch int
	log      *zap.Logger
	tracer   trace.Tracer
	metrics  measures
}

type measures struct {
	events   *prometheus.CounterVec
	batch    prometheus.Histogram
	duration prometheus.Histogram
}

// New returns a consumer of batches of at most maxBatch events.
func New(store jobstore.Store, maxBatch int, log *zap.Logger, registry prometheus.Registerer) *Consumer {
	factory := promauto.With(registry)
	return &Consumer{
		store: store, maxBatch: maxBatch, log: log, tracer: otel.Tracer("docmill-status"),
		metrics: measures{
			events: factory.NewCounterVec(prometheus.CounterOpts{
				Namespace: metrics.Namespace, Subsystem: "status", Name: "events_total",
				Help: "Events taken from the queue, by routing key and outcome: " +
					"applied, without_effect (duplicate or late) or dead_lettered.",
			}, []string{"event", "outcome"}),
			batch: factory.NewHistogram(prometheus.HistogramOpts{
				Namespace: metrics.Namespace, Subsystem: "status", Name: "batch_events",
				Help: "Events per transaction.", Buckets: prometheus.ExponentialBuckets(1, 2, 11),
			}),
			duration: factory.NewHistogram(prometheus.HistogramOpts{
				Namespace: metrics.Namespace, Subsystem: "status", Name: "apply_duration_seconds",
				Help: "Time from the arrival of a batch to the end of its transaction.", Buckets: metrics.DurationBuckets(),
			}),
		},
	}
}

// Handler returns the handler for the queue message.Events.
func (c *Consumer) Handler() message.Handler {
	return message.Batches{Max: c.maxBatch, Handle: c.Apply}
}

// Apply applies the batch, and marks the events that can never be applied to be dead-lettered. It is the handler of a
// batch.
func (c *Consumer) Apply(ctx context.Context, batch []*message.Delivery) error {
	began := time.Now()
	ctx, span := c.tracer.Start(ctx, "apply events", trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.Int("messaging.batch.message_count", len(batch))),
		trace.WithLinks(links(ctx, batch)...))
	defer span.End()

	parsed := make([]event, len(batch))
	var valid []job.Event
	for i, d := range batch {
		parsed[i] = parse(d)
		if parsed[i].Event != nil {
			valid = append(valid, parsed[i].Event)
		}
	}
	outcomes, err := c.store.Apply(ctx, valid)
	if err != nil {
		return err
	}
	if err := c.advance(ctx, parsed); err != nil {
		return err
	}
	for i, d := range batch {
		outcome := jobstore.Outcome{Refused: parsed[i].err, Changed: parsed[i].isMark()}
		if parsed[i].Event != nil {
			outcome, outcomes = outcomes[0], outcomes[1:]
		}
		c.settle(ctx, d, parsed[i].key, outcome)
	}
	c.metrics.batch.Observe(float64(len(batch)))
	c.metrics.duration.Observe(time.Since(began).Seconds())
	return nil
}

// advance moves the watermark to the latest mark of a batch whose events have been applied.
func (c *Consumer) advance(ctx context.Context, batch []event) error {
	var latest time.Time
	for _, e := range batch {
		if e.mark.After(latest) {
			latest = e.mark
		}
	}
	if latest.IsZero() {
		return nil
	}
	return c.store.Advance(ctx, latest)
}

// settle counts an event, and marks it to be dead-lettered if it was refused. A dead-lettered event is kept for an
// operator; the log has the reason.
func (c *Consumer) settle(ctx context.Context, d *message.Delivery, key string, outcome jobstore.Outcome) {
	label := "without_effect"
	switch {
	case outcome.Refused != nil:
		label = "dead_lettered"
		d.DeadLetter()
		c.log.Error("event cannot be applied; dead-lettering it", zap.Error(outcome.Refused),
			zap.String("type", d.Type), zap.String("message_id", d.ID), logging.JobID(d.JobID),
			zap.String("app", d.App), logging.Trace(d.Context(ctx)))
	case outcome.Changed:
		label = "applied"
	}
	c.metrics.events.WithLabelValues(key, label).Inc()
}

// event is a parsed delivery: an event about a job, a mark, or neither.
type event struct {
	job.Event // nil if it is not one

	// mark is the time of a mark; zero if it is not one.
	mark time.Time
	// key is the routing key of its type, or "unknown" if it has none.
	key string
	// err is the reason why it cannot be parsed. It is permanent.
	err error
}

func (e event) isMark() bool { return !e.mark.IsZero() }

func parse(d *message.Delivery) event {
	body, err := d.Message()
	if err != nil {
		return event{key: "unknown", err: err}
	}
	key := "unknown"
	if route, found := message.RouteOf(body); found {
		key = route.Key
	}
	if mark, found := watermark.Of(body); found {
		return event{mark: mark, key: key}
	}
	read, err := job.Read(body)
	return event{Event: read, key: key, err: err}
}

// links returns links from the batch's span to the traces of its messages.
func links(ctx context.Context, batch []*message.Delivery) []trace.Link {
	all := make([]trace.Link, 0, len(batch))
	for _, d := range batch {
		if link := trace.LinkFromContext(d.Context(ctx)); link.SpanContext.IsValid() {
			all = append(all, link)
		}
	}
	return all
}
