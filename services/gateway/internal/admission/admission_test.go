package admission_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/gateway/internal/admission"
)

// fake is an upload whose lag the test sets. It leaves when it is interrupted, unless the test holds it.
type fake struct {
	lag         atomic.Int64
	ticket      *admission.Ticket
	interrupted chan struct{}
}

func (f *fake) Lag() time.Duration { return time.Duration(f.lag.Load()) }

func (f *fake) Interrupt() { close(f.interrupted) }

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
