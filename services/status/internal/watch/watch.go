// Package watch lets requests wait for a job to change. The job store's notifications wake them; in case a
// notification is lost, they also check periodically.
package watch

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

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

	mu        sync.Mutex
	count     int
	byJob     map[uuid.UUID]map[chan struct{}]struct{}
	spreading bool // a WakeAll is in progress
	again     bool // there was another WakeAll meanwhile
}

var _ jobstore.Audience = (*Waiters)(nil)

// New returns Waiters for at most limit requests, whose number gauge shows. A waiter that is not woken checks again after
// recheck.
func New(limit int, recheck time.Duration, gauge prometheus.Gauge) *Waiters {
	return &Waiters{limit: limit, recheck: recheck, gauge: gauge, byJob: map[uuid.UUID]map[chan struct{}]struct{}{}}
}

// Waiter is a request that waits for a job. It is used by one goroutine.
type Waiter struct {
	waiters *Waiters
	id      uuid.UUID
	woken   chan struct{}
}

// Join returns a new waiter for a job, or ErrFull. The caller must call Leave.
func (w *Waiters) Join(id uuid.UUID) (*Waiter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count >= w.limit {
		return nil, ErrFull
	}
	woken := make(chan struct{}, 1)
	if w.byJob[id] == nil {
		w.byJob[id] = map[chan struct{}]struct{}{}
	}
	w.byJob[id][woken] = struct{}{}
	w.count++
	w.gauge.Set(float64(w.count))
	return &Waiter{waiters: w, id: id, woken: woken}, nil
}

// Leave frees the waiter's place. The waiter must not be used afterwards.
func (w *Waiter) Leave() {
	all := w.waiters
	all.mu.Lock()
	defer all.mu.Unlock()
	delete(all.byJob[w.id], w.woken)
	if len(all.byJob[w.id]) == 0 {
		delete(all.byJob, w.id)
	}
	all.count--
	all.gauge.Set(float64(all.count))
}

// Count returns the number of waiters.
func (w *Waiters) Count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// Until joins, waits like [Waiter.Until], and leaves. It returns ErrFull without calling check.
func (w *Waiters) Until(
	ctx context.Context, id uuid.UUID, wait time.Duration, end <-chan struct{},
	check func(context.Context) (done bool, err error),
) error {
	waiter, err := w.Join(id)
	if err != nil {
		return err
	}
	defer waiter.Leave()
	return waiter.Until(ctx, wait, end, check)
}

// Until calls check until that is done or fails, and returns its error. It calls check at once, so that no change since Join is
// missed, whenever the job is woken, periodically, and once more when the time is up, so that a lost notification does not lead
// to a stale answer. It returns nil if the time is up or end is closed, and ctx's error if ctx ends.
func (w *Waiter) Until(
	ctx context.Context, wait time.Duration, end <-chan struct{}, check func(context.Context) (done bool, err error),
) error {
	clock := time.NewTicker(w.waiters.recheck)
	defer clock.Stop()
	timeUp := time.NewTimer(wait)
	defer timeUp.Stop()
	for {
		if done, err := check(ctx); done || err != nil {
			return err
		}
		select {
		case <-w.woken:
		case <-clock.C:
		case <-timeUp.C:
			_, err := check(ctx)
			return err
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

// spread is the time per waiter over which WakeAll spreads its wake-ups: 10,000 waiters cause 2,000 reads per second, as
// many as their periodic checks.
const spread = 500 * time.Microsecond

// WakeAll makes all waiters check, at random times, so that their reads do not reach the database at the same moment. Calls
// during that time, for example because the connection to the database fails repeatedly, make them check once more after it.
// It never blocks.
func (w *Waiters) WakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.spreading {
		w.again = true
		return
	}
	w.beginSpread()
}

// beginSpread starts the timers of a WakeAll. The caller holds mu. A waiter may leave before its timer; later ones check when
// they join.
func (w *Waiters) beginSpread() {
	w.spreading = true
	within := time.Duration(w.count) * spread
	for _, waiters := range w.byJob {
		for woken := range waiters {
			time.AfterFunc(rand.N(within), func() { signal(woken) }) //nolint:gosec // it need not be secret
		}
	}
	time.AfterFunc(within, w.endSpread)
}

func (w *Waiters) endSpread() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spreading = false
	if w.again {
		w.again = false
		w.beginSpread()
	}
}

func wake(waiters map[chan struct{}]struct{}) {
	for woken := range waiters {
		signal(woken)
	}
}

// signal wakes a waiter. One that has not seen the previous signal yet needs no second one.
func signal(woken chan<- struct{}) {
	select {
	case woken <- struct{}{}:
	default:
	}
}
