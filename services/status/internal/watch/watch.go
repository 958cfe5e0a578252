// Package watch lets requests wait for a job to change. The job store's notifications wake them; in case a
// notification is lost, they also check periodically.
package watch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/services/status/jobstore"
)

// ErrFull means that the maximum number of requests is waiting already.
var ErrFull = errors.New("too many requests are waiting")

// Recheck is the usual time after which a waiter checks again without being woken. With 10,000 waiters that is 2,000
// reads per second.
const Recheck = 5 * time.Second

// Waiters are the requests that wait, by job. It is safe for concurrent use, and the audience of a job store.
type Waiters struct {
	limit   int
	recheck time.Duration
	gauge   prometheus.Gauge

	mu    sync.Mutex
	count int
	byJob map[uuid.UUID]map[chan struct{}]struct{}
}

var _ jobstore.Audience = (*Waiters)(nil)

// New returns Waiters for at most limit requests. A waiter that is not woken checks again after recheck.
func New(limit int, recheck time.Duration, registry prometheus.Registerer) *Waiters {
	w := &Waiters{
		limit: limit, recheck: recheck,
		byJob: map[uuid.UUID]map[chan struct{}]struct{}{},
		gauge: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: "status", Name: "waiters",
			Help: "Requests that wait for a job to change.",
		}),
	}
	registry.MustRegister(w.gauge)
	return w
}

// Until calls check until that is done or fails, and returns its error. It calls check at once, whenever the job is
// woken, and periodically. It returns nil if the time is up or end is closed, and ctx's error if ctx ends. If too
// many requests are waiting it returns ErrFull without calling check.
func (w *Waiters) Until(
	ctx context.Context, id uuid.UUID, wait time.Duration, end <-chan struct{},
	check func(context.Context) (done bool, err error),
) error {
	// Join before the first check: otherwise a change between the two would be missed.
	woken, leave, err := w.join(id)
	if err != nil {
		return err
	}
	defer leave()
	clock := time.NewTicker(w.recheck)
	defer clock.Stop()
	timeUp := time.NewTimer(wait)
	defer timeUp.Stop()
	for {
		if done, err := check(ctx); done || err != nil {
			return err
		}
		select {
		case <-woken:
		case <-clock.C:
		case <-timeUp.C:
			return nil
		case <-end:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Wake makes the waiters of these jobs check. It never blocks.
func (w *Waiters) Wake(ids ...uuid.UUID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		wake(w.byJob[id])
	}
}

// WakeAll makes all waiters check. It never blocks.
func (w *Waiters) WakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, waiters := range w.byJob {
		wake(waiters)
	}
}

// wake signals each waiter. A waiter that has not seen the previous signal yet needs no second one.
func wake(waiters map[chan struct{}]struct{}) {
	for woken := range waiters {
		select {
		case woken <- struct{}{}:
		default:
		}
	}
}

func (w *Waiters) join(id uuid.UUID) (woken <-chan struct{}, leave func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count >= w.limit {
		return nil, nil, ErrFull
	}
	signal := make(chan struct{}, 1)
	if w.byJob[id] == nil {
		w.byJob[id] = map[chan struct{}]struct{}{}
	}
	w.byJob[id][signal] = struct{}{}
	w.count++
	w.gauge.Set(float64(w.count))
	return signal, func() { w.leave(id, signal) }, nil
}

func (w *Waiters) leave(id uuid.UUID, signal chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.byJob[id], signal)
	if len(w.byJob[id]) == 0 {
		delete(w.byJob, id)
	}
	w.count--
	w.gauge.Set(float64(w.count))
}
