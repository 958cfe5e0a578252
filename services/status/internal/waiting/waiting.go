// Package waiting measures how long the oldest job has waited for a converter.
package waiting

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/metrics"
)

// Interval is the usual time between two measurements. Each reads one entry of an index, if no job waits for another attempt.
const Interval = 5 * time.Second

// Store is the part of a jobstore.Store that is measured.
type Store interface {
	OldestWaiting(ctx context.Context) (time.Duration, error)
}

// Age measures the age of the oldest waiting job. All replicas of the service report the same.
type Age struct {
	every time.Duration
	store Store
	gauge *prometheus.GaugeVec
}

// New returns a component that measures periodically, for a metric in registry.
func New(store Store, every time.Duration, registry prometheus.Registerer) *Age {
	return &Age{every: every, store: store, gauge: promauto.With(registry).NewGaugeVec(prometheus.GaugeOpts{
		Namespace: metrics.Namespace, Subsystem: "status", Name: "oldest_waiting_job_age_seconds",
		Help: "How long the oldest job without an attempt has waited; 0 if there is none. It is absent while the database cannot be read.",
	}, nil)}
}

// Run measures until drain is closed. It is a component of package host.
func (a *Age) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	return host.Every(a.every, a.measure)(ctx, ready, drain)
}

func (a *Age) measure(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, a.every)
	defer cancel()
	age, err := a.store.OldestWaiting(ctx)
	if err != nil { // do not report an outdated age
		a.gauge.Reset()
		return
	}
	a.gauge.WithLabelValues().Set(age.Seconds())
}
