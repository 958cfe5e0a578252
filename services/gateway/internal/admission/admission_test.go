package admission_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/gateway/internal/admission"
)

// fake is an upload whose lag the test sets. It leaves when it is interrupted, unless the test holds it.
type fake struct {
	lag         atomic.Int64
	ticket      *admission.Ticket
	interrupted chan struct{}
	cause       error // set before interrupted is closed
}

func (f *fake) Lag() time.Duration { return time.Duration(f.lag.Load()) }

func (f *fake) Interrupt(cause error) {
	f.cause = cause
	close(f.interrupted)
}

func enter(t *testing.T, gate *admission.Gate, client string, lag time.Duration) *fake {
	t.Helper()
	f := &fake{interrupted: make(chan struct{})}
	f.lag.Store(int64(lag))
	var err error
	f.ticket, err = gate.Enter(client, f)
	require.NoError(t, err)
	return f
}

func requireInterrupted(t *testing.T, f *fake) {
	t.Helper()
	select {
	case <-f.interrupted:
	case <-time.After(time.Minute):
		require.FailNow(t, "the upload was not interrupted")
	}
}

func requireUndisturbed(t *testing.T, uploads ...*fake) {
	t.Helper()
	for _, f := range uploads {
		select {
		case <-f.interrupted:
			require.FailNow(t, "the upload was interrupted")
		default:
		}
	}
}

const patience = time.Minute

func TestSlotsAreLimited(t *testing.T) {
	t.Parallel()
	gate := admission.NewGate(admission.Config{Slots: 2, Open: 10, Wait: 10 * time.Millisecond})
	first, second, third := enter(t, gate, "a", 0), enter(t, gate, "a", 0), enter(t, gate, "b", 0)
	require.NoError(t, first.ticket.Start(t.Context()))
	require.NoError(t, second.ticket.Start(t.Context()))
	require.ErrorIs(t, third.ticket.Start(t.Context()), admission.ErrNoSlot)
	first.ticket.Leave()
	require.NoError(t, third.ticket.Start(t.Context()))
	requireUndisturbed(t, first, second, third)
}

func TestWaitEndsWithTheContext(t *testing.T) {
	t.Parallel()
	gate := admission.NewGate(admission.Config{Slots: 1, Open: 10, Wait: patience})
	require.NoError(t, enter(t, gate, "a", 0).ticket.Start(t.Context()))
	gone := errors.New("the client has left")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	waiting := enter(t, gate, "b", 0)
	require.ErrorIs(t, waiting.ticket.Start(ctx), gone)
	waiting.ticket.Leave()
}

func TestSlotOfTheUploadThatLagsMostIsReplaced(t *testing.T) {
	t.Parallel()
	gate := admission.NewGate(admission.Config{Slots: 3, Open: 10, Wait: patience})
	good, slow, slower := enter(t, gate, "a", 0), enter(t, gate, "b", 2*admission.MinLag), enter(t, gate, "c", 3*admission.MinLag)
	for _, f := range []*fake{good, slow, slower} {
		require.NoError(t, f.ticket.Start(t.Context()))
	}
	started := make(chan error)
	waiting := enter(t, gate, "d", 0)
	go func() { started <- waiting.ticket.Start(t.Context()) }()
	requireInterrupted(t, slower)
	requireUndisturbed(t, good, slow)
	slower.ticket.Leave()
	require.NoError(t, <-started)
	requireUndisturbed(t, good, slow)
}

func TestUploadWithoutLagKeepsItsSlot(t *testing.T) {
	t.Parallel()
	gate := admission.NewGate(admission.Config{Slots: 1, Open: 10, Wait: 3 * 100 * time.Millisecond})
	good := enter(t, gate, "a", admission.MinLag-1)
	require.NoError(t, good.ticket.Start(t.Context()))
	require.ErrorIs(t, enter(t, gate, "b", 0).ticket.Start(t.Context()), admission.ErrNoSlot)
	requireUndisturbed(t, good)
	good.lag.Store(int64(admission.MinLag))
	started := make(chan error)
	waiting := enter(t, gate, "b", 0)
	go func() { started <- waiting.ticket.Start(t.Context()) }()
	requireInterrupted(t, good)
	good.ticket.Leave()
	require.NoError(t, <-started)
}

func TestClientWithManyUploadsLosesFirst(t *testing.T) {
	t.Parallel()
	gate := admission.NewGate(admission.Config{Slots: 1, Open: 4, Wait: patience})
	many := []*fake{enter(t, gate, "many", 2*admission.MinLag), enter(t, gate, "many", 3*admission.MinLag), enter(t, gate, "many", 0)}
	one := enter(t, gate, "one", 9*admission.MinLag)
	enter(t, gate, "new", 0)
	requireInterrupted(t, many[1])
	requireUndisturbed(t, many[0], many[2], one)
}

func TestFreeSlotGoesToTheClientWithTheFewest(t *testing.T) {
	t.Parallel()
	gate := admission.NewGate(admission.Config{Slots: 2, Open: 10, Wait: patience})
	first, second := enter(t, gate, "many", 0), enter(t, gate, "many", 0)
	require.NoError(t, first.ticket.Start(t.Context()))
	require.NoError(t, second.ticket.Start(t.Context()))
	started := make(chan string)
	for _, client := range []string{"many", "many", "many", "other"} {
		f := enter(t, gate, client, 0)
		queued := make(chan struct{})
		go func() {
			close(queued)
			if f.ticket.Start(t.Context()) == nil {
				started <- client
				f.ticket.Leave()
			}
		}()
		<-queued
	}
	gate.AwaitWaiting(4)
	first.ticket.Leave()
	require.Equal(t, "other", <-started)
	for range 3 {
		require.Equal(t, "many", <-started)
	}
}

func TestOpenUploadsAreLimited(t *testing.T) {
	t.Parallel()
	gate := admission.NewGate(admission.Config{Slots: 1, Open: 2, Wait: patience})
	good, slow := enter(t, gate, "a", 0), enter(t, gate, "b", 0)
	_, err := gate.Enter("c", &fake{})
	require.ErrorIs(t, err, admission.ErrTooManyOpen)
	slow.lag.Store(int64(admission.MinLag))
	enter(t, gate, "c", 0)
	requireInterrupted(t, slow)
	requireUndisturbed(t, good)
	_, err = gate.Enter("d", &fake{})
	require.ErrorIs(t, err, admission.ErrTooManyOpen, "the slow one was replaced already")
}

// start starts uploads of a client until n of them have a slot or wait. They leave when they are interrupted.
func start(t *testing.T, gate *admission.Gate, client string, n int, lag time.Duration) []*fake {
	t.Helper()
	fakes := make([]*fake, n)
	for i := range fakes {
		f := enter(t, gate, client, lag)
		fakes[i] = f
		go func() {
			defer f.ticket.Leave()
			_ = f.ticket.Start(t.Context())
			select {
			case <-f.interrupted:
			case <-t.Context().Done():
			}
		}()
		synctest.Wait()
	}
	return fakes
}

// interrupted returns the indexes of the interrupted uploads. All of them must have the cause.
func interrupted(t *testing.T, fakes []*fake, cause error) []int {
	t.Helper()
	var found []int
	for i, f := range fakes {
		select {
		case <-f.interrupted:
			require.ErrorIs(t, f.cause, cause)
			found = append(found, i)
		default:
		}
	}
	return found
}

func TestSlotsAreSharedBetweenClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := admission.NewGate(admission.Config{Slots: 64, Open: 1024, Wait: patience})
		steady := start(t, gate, "many", 64, 0)
		began := time.Now()
		one := enter(t, gate, "one", 0)
		require.NoError(t, one.ticket.Start(t.Context()))
		require.GreaterOrEqual(t, time.Since(began), admission.ShareAfter)
		require.Less(t, time.Since(began), admission.ShareAfter+100*time.Millisecond)
		require.Equal(t, []int{63}, interrupted(t, steady, admission.ErrShared), "the newest")
		one.ticket.Leave()
	})
}

func TestSharingEndsAtEqualShares(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := admission.NewGate(admission.Config{Slots: 9, Open: 1024, Wait: time.Hour})
		first := start(t, gate, "first", 20, 0)
		first[2].lag.Store(1)
		second := start(t, gate, "second", 20, 0)
		time.Sleep(time.Minute)
		require.Equal(t, []int{2, 6, 7, 8}, interrupted(t, first, admission.ErrShared), "the one that lags, and the newest")
		requireUndisturbed(t, second...)
	})
}

func TestFloodOfOneClientLetsOthersEnter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := admission.NewGate(admission.Config{Slots: 64, Open: 1024, Wait: patience})
		flood := start(t, gate, "flood", 1024, 0)
		_, err := gate.Enter("flood", &fake{})
		require.ErrorIs(t, err, admission.ErrTooManyOpen)
		newcomer := enter(t, gate, "one", 0)
		require.Equal(t, []int{1023}, interrupted(t, flood, admission.ErrShared), "the newest, which waited")
		require.ErrorIs(t, flood[1023].ticket.Start(t.Context()), admission.ErrShared)
		require.NoError(t, newcomer.ticket.Start(t.Context()))
		newcomer.ticket.Leave()
	})
}

func TestFloodDoesNotInterruptTheUploadsOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := admission.NewGate(admission.Config{Slots: 8, Open: 1024, Wait: time.Hour})
		lone := start(t, gate, "lone", 1, 5*admission.MinLag)
		pair := start(t, gate, "pair", 2, admission.MinLag-1)
		flood := start(t, gate, "flood", 1000, 0)
		time.Sleep(time.Minute)
		requireUndisturbed(t, append(lone, pair...)...)
		for _, f := range flood {
			f.lag.Store(int64(admission.MinLag / 10))
		}
		time.Sleep(time.Minute)
		requireUndisturbed(t, append(lone, pair...)...)
		// It has more than its share, so little lag is enough while 80 wait for 8 slots.
		require.Len(t, interrupted(t, flood, admission.ErrLagged), 920)
	})
}

// TestLagUnderPressure is about a reverse proxy: all uploads have the same address.
func TestLagUnderPressure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := admission.NewGate(admission.Config{Slots: 8, Open: 1024, Wait: time.Hour})
		all := start(t, gate, "proxy", 200, 0)
		all[3].lag.Store(int64(admission.MinLag / 10))
		time.Sleep(time.Second)
		require.Equal(t, []int{3}, interrupted(t, all, admission.ErrLagged))
	})
}

func TestClient(t *testing.T) {
	t.Parallel()
	for address, client := range map[string]string{
		"192.0.2.1:80":              "192.0.2.1",
		"[::ffff:192.0.2.1]:80":     "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64",
		"[2001:db8:1:2::9]:81":      "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":         "fe80::/64",
		"a socket":                  "a socket",
	} {
		require.Equal(t, client, admission.Client(address), address)
	}
}
