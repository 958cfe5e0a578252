// Package watch holds the requests that wait for a job to change. What wakes them is the database's notification; a
// slow clock is the second line for one that was lost.
package watch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/docmill/docmill/platform/metrics"
)

// ErrFull says that as many are waiting as may.
var ErrFull = errors.New("too many are waiting")

// Reread is after how long a waiter usually looks again though nobody woke it. 10,000 waiters are 2,000 reads a second then.
const Reread = 5 * time.Second

// Waiters are those who wait, by job. It is safe for concurrent use.
type Waiters struct {
	most   int
	reread time.Duration
	gauge  prometheus.Gauge

	mu    sync.Mutex
	count int
	byJob map[uuid.UUID]map[chan struct{}]struct{}
}

// New makes room for up to most waiters. One that nobody wakes looks again after reread.
func New(most int, reread time.Duration, registry prometheus.Registerer) *Waiters {
	w := &Waiters{
		most: most, reread: reread,
		byJob: map[uuid.UUID]map[chan struct{}]struct{}{},
		gauge: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: "status", Name: "waiters",
			Help: "Requests that wait for a job to change.",
		}),
	}
	registry.MustRegister(w.gauge)
	return w
}

// Until calls look until it says that the wait is over or fails, and gives its error. It calls it at once, each time
// somebody wakes the job, and every few seconds. It returns nil when the time is up or end is closed, and ctx's error when
// that ends. It returns ErrFull, without a look, when too many are waiting.
func (w *Waiters) Until(ctx context.Context, id uuid.UUID, wait time.Duration, end <-chan struct{}, look func(context.Context) (over bool, err error)) error {
	// First join and then look: a change between the two would be missed the other way round.
	woken, leave, err := w.join(id)
	if err != nil {
		return err
	}
	defer leave()
	clock := time.NewTicker(w.reread)
	defer clock.Stop()
	timeUp := time.NewTimer(wait)
	defer timeUp.Stop()
	for {
		if over, err := look(ctx); over || err != nil {
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

// Wake makes those look who wait for one of the jobs. It never blocks.
func (w *Waiters) Wake(ids ...uuid.UUID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		wake(w.byJob[id])
	}
}

// WakeAll makes everybody look. It never blocks.
func (w *Waiters) WakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, waiters := range w.byJob {
		wake(waiters)
	}
}

// wake leaves a note for each waiter; one that has a note already needs no second one.
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
	if w.count >= w.most {
		return nil, nil, ErrFull
	}
	note := make(chan struct{}, 1)
	if w.byJob[id] == nil {
		w.byJob[id] = map[chan struct{}]struct{}{}
	}
	w.byJob[id][note] = struct{}{}
	w.count++
	w.gauge.Set(float64(w.count))
	return note, func() { w.leave(id, note) }, nil
}

func (w *Waiters) leave(id uuid.UUID, note chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.byJob[id], note)
	if len(w.byJob[id]) == 0 {
		delete(w.byJob, id)
	}
	w.count--
	w.gauge.Set(float64(w.count))
}
