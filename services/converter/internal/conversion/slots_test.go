package conversion

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSlots(t *testing.T) {
	t.Parallel()
	s := newSlots(2)
	first, err := s.acquire(t.Context())
	require.NoError(t, err)

	waiting, giveUp := context.WithCancelCause(t.Context())
	alone := make(chan error, 1)
	go func() {
		_, err := s.isolate(waiting)
		alone <- err
	}()
	require.Eventually(t, func() bool { return !s.free.TryAcquire(1) || release(s) }, time.Minute, time.Millisecond, "nobody overtakes those who wait")
	cause := errors.New("stopping")
	giveUp(cause)
	require.ErrorIs(t, <-alone, cause)

	first()
	everything, err := s.isolate(t.Context())
	require.NoError(t, err)
	require.False(t, s.free.TryAcquire(1))
	_, err = s.isolate(t.Context())
	require.ErrorIs(t, err, errSuspectHeld)
	everything()
	require.True(t, s.free.TryAcquire(2))
}

// TestSuspectsWaitLonger checks that a suspect does not starve behind a long conversion, and that deliveries behind the
// suspect are not held for as long.
func TestSuspectsWaitLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(2)
		long, err := s.acquire(t.Context())
		require.NoError(t, err)
		began := time.Now()
		time.AfterFunc(14*time.Minute, long)
		next := make(chan error, 1)
		time.AfterFunc(time.Second, func() {
			_, err := s.acquire(t.Context())
			next <- err
		})
		release, err := s.isolate(t.Context())
		require.NoError(t, err)
		require.Equal(t, 14*time.Minute, time.Since(began))
		require.ErrorIs(t, <-next, errNoSlot)
		release()
	})
}

// TestLostCommandsAreSpread checks that commands that were lost together are published at different times.
func TestLostCommandsAreSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &attempt{Deps: Deps{Stopping: make(chan struct{})}}
		times := map[time.Duration]bool{}
		for range 20 {
			began := time.Now()
			require.NoError(t, a.spread(t.Context()))
			require.Less(t, time.Since(began), maxSpread)
			times[time.Since(began)] = true
		}
		require.Greater(t, len(times), 15)
	})
}

// release releases what TryAcquire acquired.
func release(s *slots) bool {
	s.free.Release(1)
	return false
}
