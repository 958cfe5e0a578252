// Package events consumes the events about jobs: it applies each batch to the job store in one transaction, and only
// then acknowledges it. A mark among them moves the watermark.
package events

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/internal/ending"
	"github.com/docmill/docmill/services/status/internal/watermark"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// Consumer applies events.
type Consumer struct {
	// Dropped is called with each successful end that had no effect, even if it is only a duplicate. It must not block.
	Dropped func(job.Ended)

	store    jobstore.Store
	clock    *clock.Clock
	keep     job.Retention
	maxBatch int
	ends     *ending.Metrics
	log      *zap.Logger
	metrics  measures
}

type measures struct {
	lag      prometheus.Histogram
	events   *prometheus.CounterVec
	batch    prometheus.Histogram
	duration prometheus.Histogram
}

// New returns a consumer of batches of at most maxBatch events. It counts the jobs that they end, whose files are kept for the
// retention.
func New(
	store jobstore.Store, clock *clock.Clock, retention job.Retention, maxBatch int, ends *ending.Metrics, log *zap.Logger, registry prometheus.Registerer,
) *Consumer {
	factory := promauto.With(registry)
	c := &Consumer{
		store: store, clock: clock, keep: retention, maxBatch: maxBatch, ends: ends, log: log,
		metrics: measures{
			lag: factory.NewHistogram(prometheus.HistogramOpts{
				Namespace: metrics.Namespace, Subsystem: "status", Name: "event_lag_seconds",
				Help: "Time from the publication of an event until it was applied.", Buckets: metrics.DurationBuckets(),
			}),
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
	for _, outcome := range []string{applied, withoutEffect, deadLettered} { // an alert needs the series before its first value
		c.metrics.events.WithLabelValues(unknown, outcome)
		for _, route := range message.Routes() {
			if slices.Contains(route.Queues, message.Events) {
				c.metrics.events.WithLabelValues(route.Key, outcome)
			}
		}
	}
	return c
}

// Labels of outcomes, and the key of an event without one.
const (
	applied       = "applied"
	withoutEffect = "without_effect"
	deadLettered  = "dead_lettered"
	unknown       = "unknown"
)

// Handler returns the handler for the queue message.Events.
func (c *Consumer) Handler() message.Handler {
	return message.Batches{Max: c.maxBatch, Handle: c.Apply}
}

// Apply applies the batch, and marks the events that can never be applied to be dead-lettered. It is the handler of a
// batch.
func (c *Consumer) Apply(ctx context.Context, batch []*message.Delivery) error {
	began := time.Now()
	now, err := c.clock.Now(ctx)
	if err != nil {
		return err
	}
	parsed := make([]event, len(batch))
	var valid []job.Event
	for i, d := range batch {
		parsed[i] = c.parse(d, now)
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
		c.measure(d, parsed[i].Event, outcome)
	}
	c.metrics.batch.Observe(float64(len(batch)))
	c.metrics.duration.Observe(time.Since(began).Seconds())
	return nil
}

// measure observes the lag of an event, and counts the job that it has ended, or reports that it came too late for that.
func (c *Consumer) measure(d *message.Delivery, e job.Event, outcome jobstore.Outcome) {
	c.metrics.lag.Observe(max(time.Since(d.Created()).Seconds(), 0)) // clocks may differ
	ended, ends := e.(job.Ended)
	switch {
	case !ends:
	case outcome.Changed:
		c.ends.CountEvent(ended)
	case ended.Status == job.Succeeded && outcome.Refused == nil:
		c.Dropped(ended)
	}
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
	label := withoutEffect
	switch {
	case outcome.Refused != nil:
		label = deadLettered
		d.DeadLetter()
		c.log.Error("event cannot be applied; dead-lettering it", zap.Error(outcome.Refused),
			zap.String("type", d.Type), zap.String("message_id", d.ID), logging.JobID(d.JobID),
			zap.String("app", d.App), logging.Trace(d.Context(ctx)))
	case outcome.Changed:
		label = applied
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

// parse parses a delivery that has arrived now.
func (c *Consumer) parse(d *message.Delivery, now time.Time) event {
	body, err := d.Message()
	if err != nil {
		return event{key: unknown, err: err}
	}
	key := unknown
	if route, found := message.RouteOf(body); found {
		key = route.Key
	}
	if mark, found := watermark.Of(body); found {
		return event{mark: mark, key: key}
	}
	read, err := job.Read(body)
	switch e := read.(type) {
	case job.Ended:
		read = c.keep.Keep(e, now)
	case job.Submitted:
		e.RecordedAt = now
		read = e
	}
	return event{Event: read, key: key, err: err}
}
