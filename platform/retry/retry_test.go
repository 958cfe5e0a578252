package retry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/docmill/docmill/platform/retry"
)

var (
	errDown    = errors.New("down")
	errRefused = errors.New("refused")
)

func logged() (*zap.Logger, func() []string) {
	core, logs := observer.New(zap.WarnLevel)
	return zap.New(core), func() []string {
		var reasons []string
		for _, entry := range logs.All() {
			reasons = append(reasons, entry.ContextMap()["error"].(string))
		}
		return reasons
	}
}

func TestLoopLogsEachReasonOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, reasons := logged()
		outcomes := []error{errDown, errDown, errRefused, errRefused, errDown, nil}
		err := retry.Loop(t.Context(), retry.Policy{Initial: time.Second, Max: time.Minute}, log, "no luck yet",
			func(context.Context) error {
				err := outcomes[0]
				outcomes = outcomes[1:]
				return err
			})
		require.NoError(t, err)
		require.Empty(t, outcomes)
		require.Equal(t, []string{"down", "refused", "down"}, reasons())
	})
}

func TestLoopGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began, tries := time.Now(), 0
		policy := retry.Policy{Initial: 100 * time.Millisecond, Max: time.Second, GiveUp: time.Minute}
		err := retry.Loop(t.Context(), policy, zap.NewNop(), "no luck yet", func(context.Context) error {
			tries++
			return errDown
		})
		require.ErrorIs(t, err, errDown)
		require.LessOrEqual(t, time.Since(began), time.Minute)
		require.Greater(t, time.Since(began), time.Minute-2*time.Second, "it uses the time")
		require.Greater(t, tries, 30, "delays are bounded")
	})
}

func TestLoopReturnsPermanentErrors(t *testing.T) {
	t.Parallel()
	tries := 0
	err := retry.Loop(t.Context(), retry.Policy{Initial: time.Hour, Max: time.Hour}, zap.NewNop(), "no luck yet",
		func(context.Context) error {
			tries++
			return retry.Permanent(errRefused)
		})
	require.Equal(t, errRefused, err, "unwrapped")
	require.Equal(t, 1, tries)
}

func TestLoopEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	err := retry.Loop(ctx, retry.Policy{Initial: time.Hour, Max: time.Hour}, zap.NewNop(), "no luck yet",
		func(context.Context) error {
			cancel(errRefused)
			return errDown
		})
	require.ErrorIs(t, err, errRefused, "the cause")
}

func TestKeepStartsAnewAfterStableWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, reasons := logged()
		policy := retry.Policy{Initial: time.Second, Max: time.Hour, Stable: time.Minute}
		var starts []time.Time
		err := retry.Keep(t.Context(), policy, log, "lost", func(_ context.Context, up func()) error {
			starts = append(starts, time.Now())
			switch {
			case len(starts) == 10:
				time.Sleep(time.Minute) // it works for long enough
				return errDown
			case len(starts) == 11:
				up()
				return errDown
			case len(starts) == 12:
				return nil
			}
			return errDown
		})
		require.NoError(t, err)
		require.LessOrEqual(t, starts[10].Sub(starts[9]), time.Minute+2*time.Second, "a short delay again")
		require.Equal(t, []string{"down", "down"}, reasons(), "again after it worked")
	})
}
