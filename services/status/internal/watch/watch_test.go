package watch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status/internal/watch"
)

// long is a time that does not pass in a test.
const long = time.Hour

type bench struct {
	waiters *watch.Waiters
	gauge   prometheus.Gauge
	id      uuid.UUID
	checks  chan struct{} // one per check
	done    chan bool     // what each check returns
}

func setup(_ *testing.T) bench { return setupRecheck(long) }

func setupRecheck(recheck time.Duration) bench {
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "waiters", Help: "Waiters."})
	return bench{
		waiters: watch.New(2, recheck, gauge), gauge: gauge, id: uuid.New(),
		checks: make(chan struct{}, 100), done: make(chan bool, 100),
	}
}

func (b bench) check(context.Context) (bool, error) {
	b.checks <- struct{}{}
	return <-b.done, nil
}

// waiting starts a wait and returns after its first check.
func (b bench) waiting(ctx context.Context, wait time.Duration, end <-chan struct{}) <-chan error {
	ended := make(chan error, 1)
	b.done <- false
	go func() { ended <- b.waiters.Until(ctx, b.id, wait, end, b.check) }()
	<-b.checks
	return ended
}

func TestWaiterIsWokenForItsJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ended := b.waiting(t.Context(), long, nil)
	b.waiters.Wake(uuid.New())
	require.Empty(t, b.checks)
	b.done <- true
	b.waiters.Wake(uuid.New(), b.id)
	require.NoError(t, <-ended)
	require.Len(t, b.checks, 1)
}

func TestChangeBetweenCheckAndWaitIsNotMissed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	checks := 0
	require.NoError(t, b.waiters.Until(t.Context(), b.id, long, nil, func(context.Context) (bool, error) {
		checks++
		b.waiters.Wake(b.id) // while the waiter reads
		return checks == 2, nil
	}))
}

func TestWakeAll(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ended := b.waiting(t.Context(), long, nil)
	b.done <- true
	b.waiters.WakeAll()
	require.NoError(t, <-ended)
}

// TestWakeAllSpreadsTheReads has so many waiters that their wake-ups are spread over 5 s, also if all wait for the same job.
func TestWakeAllSpreadsTheReads(t *testing.T) {
	t.Parallel()
	same := uuid.New()
	for name, newID := range map[string]func() uuid.UUID{
		"of many jobs": uuid.New, "of one job": func() uuid.UUID { return same },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				checks := manyWaiting(t, newID)
				began := time.Now()
				checks.waiters.WakeAll()
				time.Sleep(time.Minute)
				synctest.Wait()
				require.Equal(t, many, checks.count())
				var early int
				for _, at := range checks.at {
					if at.Sub(began) < 2500*time.Millisecond {
						early++
					}
				}
				require.InDelta(t, many/2, early, many/10) // 10 times the standard deviation of 50
				require.WithinDuration(t, began, checks.at[many-1], 5*time.Second)
			})
		})
	}
}

// TestWakeAllRepeatedly has a connection to the database that fails again and again.
func TestWakeAllRepeatedly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		checks := manyWaiting(t, uuid.New)
		for range 20 {
			checks.waiters.WakeAll()
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 2*many, checks.count(), "once for the first call, and once for all that came meanwhile")
		checks.waiters.WakeAll()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 3*many, checks.count())
	})
}

// many waiters are spread over 5 s.
const many = 10_000

// checks are the times at which waiters have checked.
type checks struct {
	waiters *watch.Waiters
	mu      sync.Mutex
	at      []time.Time
}

func (c *checks) count() int { return len(c.at) } // a failure does not print the times

// manyWaiting returns when many waiters wait, each for a job of newID. It leaves out their first checks.
func manyWaiting(t *testing.T, newID func() uuid.UUID) *checks {
	t.Helper()
	c := &checks{waiters: watch.New(many, long, prometheus.NewGauge(prometheus.GaugeOpts{}))}
	check := func(context.Context) (bool, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.at = append(c.at, time.Now())
		return false, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	for range many {
		go func() { _ = c.waiters.Until(ctx, newID(), long, nil, check) }()
	}
	synctest.Wait()
	c.at = nil
	return c
}

// TestLastCheck requires a check at the end of the wait, in case a notification was lost.
func TestLastCheck(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.done <- false
	ended := b.waiting(t.Context(), time.Millisecond, nil)
	<-b.checks
	require.NoError(t, <-ended)

	broken, first := errors.New("broken"), true
	require.ErrorIs(t, b.waiters.Until(t.Context(), b.id, time.Millisecond, nil, func(context.Context) (bool, error) {
		if first {
			first = false
			return false, nil
		}
		return false, broken
	}), broken)
}

func TestWaiterChecksPeriodically(t *testing.T) {
	t.Parallel()
	b := setupRecheck(time.Nanosecond)
	ended := b.waiting(t.Context(), long, nil)
	b.done <- true
	require.NoError(t, <-ended, "a notification was lost")
}

func TestUntilEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.done <- false
	require.NoError(t, <-b.waiting(t.Context(), time.Nanosecond, nil), "its time is up")
	<-b.checks

	drain := make(chan struct{})
	ended := b.waiting(t.Context(), long, drain)
	close(drain)
	require.NoError(t, <-ended, "the server drains")

	ctx, leave := context.WithCancel(t.Context())
	ended = b.waiting(ctx, long, nil)
	leave()
	require.ErrorIs(t, <-ended, context.Canceled, "the client has disconnected")

	broken := errors.New("broken")
	fail := func(context.Context) (bool, error) { return false, broken }
	require.ErrorIs(t, b.waiters.Until(t.Context(), b.id, long, nil, fail), broken)
	require.Zero(t, b.count(t), "no waiter is left behind")
}

func (b bench) count(t *testing.T) float64 {
	t.Helper()
	shown := testutil.ToFloat64(b.gauge)
	require.InDelta(t, shown, b.waiters.Count(), 0)
	return shown
}

func TestLimit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, second := b.waiting(t.Context(), long, nil), b.waiting(t.Context(), long, nil)
	require.InDelta(t, 2, b.count(t), 0)
	require.ErrorIs(t, b.waiters.Until(t.Context(), b.id, long, nil, b.check), watch.ErrFull)
	b.done <- true
	b.done <- true
	b.waiters.Wake(b.id)
	require.NoError(t, <-first)
	require.NoError(t, <-second)
	b.done <- false
	<-b.waiting(t.Context(), time.Nanosecond, nil)
	require.Zero(t, b.count(t))
}

func TestManyWaitersAndChanges(t *testing.T) {
	t.Parallel()
	const jobs, each = 20, 10
	waiters := watch.New(jobs*each, long, prometheus.NewGauge(prometheus.GaugeOpts{}))
	var done [jobs]chan struct{}
	var waiting sync.WaitGroup
	for i := range done {
		id := uuid.New()
		done[i] = make(chan struct{})
		for range each {
			waiting.Go(func() {
				_ = waiters.Until(t.Context(), id, long, nil, func(context.Context) (bool, error) {
					select {
					case <-done[i]:
						return true, nil
					default:
						return false, nil
					}
				})
			})
		}
		go func() {
			close(done[i])
			waiters.Wake(id)
		}()
	}
	waiting.Wait()
}
