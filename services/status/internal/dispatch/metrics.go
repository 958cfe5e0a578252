package dispatch

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/services/status/delivery"
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/jobstore"
)

// Outcomes of attempts that are not states of a delivery.
const (
	failed   = "failed"
	released = "released"
)

// Metrics are the metrics of attempts.
type Metrics struct {
	attempts *prometheus.CounterVec
	duration prometheus.Histogram
}

// NewMetrics registers the metrics of attempts. They exist even if no webhooks are sent.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	factory := promauto.With(registry)
	m := &Metrics{
		attempts: factory.NewCounterVec(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: "status", Name: "webhook_attempts_total",
			Help: "Attempts to send a webhook, by outcome: delivered, failed (it is sent again later), abandoned (it was the last attempt) " +
				"or released (the process stopped).",
		}, []string{"outcome"}),
		duration: factory.NewHistogram(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: "status", Name: "webhook_duration_seconds",
			Help: "Time of one attempt to send a webhook.", Buckets: metrics.DurationBuckets(),
		}),
	}
	for _, outcome := range []string{string(delivery.Delivered), failed, string(delivery.Abandoned), released} {
		m.attempts.WithLabelValues(outcome) // an alert needs the series before its first value
	}
	return m
}

func (m *Metrics) observe(outcome string, attempt delivery.Attempt) {
	m.attempts.WithLabelValues(outcome).Inc()
	m.duration.Observe(attempt.Duration.Seconds())
}

// Upkeep measures how many webhooks wait, and deletes old ones.
type Upkeep struct {
	store     jobstore.Deliveries
	clock     *clock.Clock
	retention time.Duration
	log       *zap.Logger
	pending   *prometheus.GaugeVec
	overdue   *prometheus.GaugeVec
}

const (
	// Interval is the usual time between two measurements. All replicas measure the same values.
	Interval = 5 * time.Second
	// deleteBatch is how many old webhooks are deleted in one transaction.
	deleteBatch = 500
	// maxDeleted is how many are deleted in one interval, so that a large number does not disturb other work.
	maxDeleted = 20 * deleteBatch
)

// NewUpkeep returns the upkeep of a store that has this clock. Webhooks are deleted when they are older than retention.
func NewUpkeep(store jobstore.Deliveries, clock *clock.Clock, retention time.Duration, log *zap.Logger, registry prometheus.Registerer) *Upkeep {
	factory := promauto.With(registry)
	return &Upkeep{
		store: store, clock: clock, retention: retention, log: log,
		pending: factory.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: "status", Name: "webhooks_pending",
			Help: "Webhooks that wait to be sent, counted up to 100,000. It is absent while the database cannot be read.",
		}, nil),
		overdue: factory.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: "status", Name: "webhooks_overdue_seconds",
			Help: "How long the webhook that waits longest has been due; 0 if none is due. " +
				"It is absent while the database cannot be read.",
		}, nil),
	}
}

// Run measures and deletes until drain is closed. It is a component of package host.
func (u *Upkeep) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	return host.Every(Interval, func(ctx context.Context) {
		u.measure(ctx)
		u.clean(ctx)
	})(ctx, ready, drain)
}

func (u *Upkeep) measure(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, Interval)
	defer cancel()
	backlog, err := u.store.DeliveryBacklog(ctx)
	if err != nil { // do not report outdated numbers
		u.pending.Reset()
		u.overdue.Reset()
		return
	}
	u.pending.WithLabelValues().Set(float64(backlog.Pending))
	u.overdue.WithLabelValues().Set(backlog.Overdue.Seconds())
}

func (u *Upkeep) clean(ctx context.Context) {
	lag, err := u.clock.Lag(ctx)
	if err != nil {
		if ctx.Err() == nil && !clock.InDoubt(err) {
			u.log.Warn("not deleting old webhooks", zap.Error(err))
		}
		return
	}
	for total := 0; total < maxDeleted; {
		deleted, err := u.store.DeleteDeliveries(ctx, u.retention+lag, deleteBatch)
		if err != nil && ctx.Err() == nil {
			u.log.Warn("cannot delete old webhooks; retrying later", zap.Error(err))
		}
		if err != nil || deleted < deleteBatch {
			return
		}
		total += deleted
	}
}
