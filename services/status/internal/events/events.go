// Package events brings the events of jobs' lives from their queue into the store: a batch in one transaction, and only
// then the acknowledgement.
package events

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/broker"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/platform/topology"
	"github.com/docmill/docmill/services/status/internal/fold"
	"github.com/docmill/docmill/services/status/internal/postgres"
)

// Store makes events durable.
type Store interface {
	Apply(ctx context.Context, events []fold.Event) ([]postgres.Outcome, error)
}

// Consumer applies events.
type Consumer struct {
	store   Store
	most    int
	log     *zap.Logger
	tracer  trace.Tracer
	metrics measures
	// fullAt is when the last full batch came, in nanoseconds since 1970.
	fullAt atomic.Int64
}

type measures struct {
	events   *prometheus.CounterVec
	batch    prometheus.Histogram
	duration prometheus.Histogram
}

// New makes a consumer of batches of up to most events.
func New(store Store, most int, log *zap.Logger, registry prometheus.Registerer) *Consumer {
	factory := promauto.With(registry)
	return &Consumer{
		store: store, most: most, log: log, tracer: otel.Tracer("docmill-status"),
		metrics: measures{
			events: factory.NewCounterVec(prometheus.CounterOpts{
				Namespace: metrics.Namespace, Subsystem: "status", Name: "events_total",
				Help: "Events taken from the queue, by routing key and by what became of them: applied, without_effect (duplicate or late) or dead_lettered.",
			}, []string{"event", "outcome"}),
			batch: factory.NewHistogram(prometheus.HistogramOpts{
				Namespace: metrics.Namespace, Subsystem: "status", Name: "batch_events",
				Help: "Events in one transaction.", Buckets: prometheus.ExponentialBuckets(1, 2, 11),
			}),
			duration: factory.NewHistogram(prometheus.HistogramOpts{
				Namespace: metrics.Namespace, Subsystem: "status", Name: "apply_duration_seconds",
				Help: "Time from a batch's arrival to the end of its transaction.", Buckets: metrics.DurationBuckets(),
			}),
		},
	}
}

// Work is what the consumer of the queue topology.StatusEvents does.
func (c *Consumer) Work() broker.Work { return broker.Batches(c.most, c.Apply) }

// catchUp is how long after a full batch there may still be more of the kind.
const catchUp = time.Minute

// CaughtUp tells whether the queue has been short of events for a while: nothing that happened to a job long ago is
// still waiting in it.
func (c *Consumer) CaughtUp() bool {
	return time.Since(time.Unix(0, c.fullAt.Load())) > catchUp
}

// Apply makes the batch durable, and marks what can never be applied to be dead-lettered. It is a broker.BatchHandler.
func (c *Consumer) Apply(ctx context.Context, batch []*broker.Delivery) error {
	began := time.Now()
	if len(batch) >= c.most {
		c.fullAt.Store(began.UnixNano())
	}
	ctx, span := c.tracer.Start(ctx, "apply events", trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.Int("messaging.batch.message_count", len(batch))), trace.WithLinks(links(ctx, batch)...))
	defer span.End()

	parsed := make([]event, len(batch))
	var good []fold.Event
	for i, d := range batch {
		parsed[i] = parse(d)
		if parsed[i].fault == nil {
			good = append(good, parsed[i].Event)
		}
	}
	outcomes, err := c.store.Apply(ctx, good)
	if err != nil {
		return err
	}
	for i, d := range batch {
		fault, changed := parsed[i].fault, false
		if fault == nil {
			fault, changed = outcomes[0].Refused, outcomes[0].Changed
			outcomes = outcomes[1:]
		}
		c.settle(ctx, d, parsed[i].key, changed, fault)
	}
	c.metrics.batch.Observe(float64(len(batch)))
	c.metrics.duration.Observe(time.Since(began).Seconds())
	return nil
}

// settle has an event with a fault dead-lettered. The evidence stays in the queue topology.StatusDead; the log says why it
// is there.
func (c *Consumer) settle(ctx context.Context, d *broker.Delivery, key string, changed bool, fault error) {
	outcome := "without_effect"
	switch {
	case fault != nil:
		outcome = "dead_lettered"
		d.DeadLetter()
		c.log.Error("an event cannot be applied and is dead-lettered", zap.Error(fault), zap.String("type", d.Type),
			zap.String("message_id", d.MessageID), logging.JobID(d.JobID), zap.String("app", d.App), logging.Trace(d.Context(ctx)))
	case changed:
		outcome = "applied"
	}
	c.metrics.events.WithLabelValues(key, outcome).Inc()
}

// event is a delivery as it was read.
type event struct {
	fold.Event

	// key is the routing key of its type; "unknown" when it has none.
	key string
	// fault is why it cannot be read; permanent.
	fault error
}

func parse(d *broker.Delivery) event {
	message, err := d.Message()
	if err != nil {
		return event{key: "unknown", fault: err}
	}
	_, key, found := topology.Route(message)
	if !found {
		key = "unknown"
	}
	read, err := fold.Read(message)
	return event{Event: read, key: key, fault: err}
}

// links joins the batch's span to the traces of its messages.
func links(ctx context.Context, batch []*broker.Delivery) []trace.Link {
	all := make([]trace.Link, 0, len(batch))
	for _, d := range batch {
		if link := trace.LinkFromContext(d.Context(ctx)); link.SpanContext.IsValid() {
			all = append(all, link)
		}
	}
	return all
}
