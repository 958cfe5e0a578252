package conversion

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSlots(t *testing.T) {
	t.Parallel()
	s := newSlots(2)
	first, err := s.acquire(t.Context(), false)
	require.NoError(t, err)

	waiting, giveUp := context.WithCancelCause(t.Context())
	alone := make(chan error, 1)
	go func() {
		_, err := s.acquire(waiting, true)
		alone <- err
	}()
	require.Eventually(t, func() bool { return !s.free.TryAcquire(1) || release(s) }, time.Minute, time.Millisecond, "nobody overtakes those who wait")
	cause := errors.New("stopping")
	giveUp(cause)
	require.ErrorIs(t, <-alone, cause)

	first()
	everything, err := s.acquire(t.Context(), true)
	require.NoError(t, err)
	require.False(t, s.free.TryAcquire(1))
	everything()
	require.True(t, s.free.TryAcquire(2))
}

// release releases what TryAcquire acquired.
func release(s *slots) bool {
	s.free.Release(1)
	return false
}
