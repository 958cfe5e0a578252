package clock_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/docmill/docmill/services/status/internal/clock"
)

// database is a database on this machine: its clock and that of the process are set together.
type database struct {
	ahead      time.Duration // of the clock of the test
	seen, held time.Time
	readings   int
	err        error
}

func (d *database) Now(context.Context) (time.Time, error) {
	d.readings++
	return time.Now().Add(d.ahead), d.err
}

func (d *database) Observe(_ context.Context, jump, hold time.Duration) (time.Time, error) {
	now := time.Now().Add(d.ahead)
	switch ahead := now.Sub(d.seen); {
	case !d.seen.IsZero() && ahead > jump:
		d.held = now.Add(hold)
	case ahead < -jump:
		d.held = time.Time{}
	}
	d.seen = now
	if !d.held.After(now) {
		d.held = time.Time{}
	}
	return d.held, d.err
}

func newClock(d *database) (*clock.Clock, *observer.ObservedLogs) {
	core, logs := observer.New(zap.WarnLevel)
	return clock.New(d, zap.New(core)), logs
}

func TestNowIsThatOfTheDatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &database{ahead: -24 * time.Hour}
		c, _ := newClock(d)
		for range 60 {
			now, err := c.Now(t.Context())
			require.NoError(t, err)
			require.Equal(t, time.Now().Add(-24*time.Hour), now)
			time.Sleep(time.Second)
		}
		require.Equal(t, 1, d.readings)
		d.ahead = 0
		now, err := c.Now(t.Context())
		require.NoError(t, err)
		require.Equal(t, time.Now(), now)
		time.Sleep(time.Minute)
		d.err = errors.New("down")
		_, err = c.Now(t.Context())
		require.ErrorIs(t, err, d.err)
	})
}

func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{16 * time.Minute, -16 * time.Minute} {
		c, _ := newClock(&database{ahead: skew})
		require.ErrorIs(t, c.Check(t.Context()), clock.ErrWrong)
		require.ErrorIs(t, c.CheckDeletion(t.Context()), clock.ErrWrong)
	}
	c, _ := newClock(&database{ahead: 14 * time.Minute})
	require.NoError(t, c.CheckDeletion(t.Context()))
}

// TestJump sets the clock forward, by less than a hold, in small steps, so that the clock of the process never differs by much: the bubble
// has only one clock. It requires that nothing is ended or deleted for an hour, and at once again if the clock is corrected.
func TestJump(t *testing.T) {
	t.Parallel()
	for name, check := range map[string]func(*clock.Clock, context.Context) error{
		"of a sweep": (*clock.Clock).Check, "of a deletion": (*clock.Clock).CheckDeletion,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := &database{ahead: -70 * time.Minute} // both clocks were behind
				c, logs := newClock(d)
				_, err := c.Now(t.Context())
				require.NoError(t, err)
				_, err = d.Observe(t.Context(), time.Hour, time.Hour)
				require.NoError(t, err)
				d.ahead = 0
				for range 59 {
					require.ErrorIs(t, check(c, t.Context()), clock.ErrHeld)
					time.Sleep(time.Minute)
				}
				require.NotZero(t, logs.Len())
				require.LessOrEqual(t, logs.Len(), 2, "one line for each reason")
				time.Sleep(time.Minute)
				require.NoError(t, check(c, t.Context()))

				d.ahead = -70 * time.Minute
				_ = check(c, t.Context())
				d.ahead = 0
				require.ErrorIs(t, check(c, t.Context()), clock.ErrHeld)
				d.ahead = -70 * time.Minute
				_ = check(c, t.Context()) // the clock of the process is not corrected yet
				require.NotErrorIs(t, check(c, t.Context()), clock.ErrHeld)
			})
		})
	}
}

// TestRestart requires that a process that has just started deletes nothing for a while if the last one has stopped long ago, but that it
// ends overdue jobs: an operator has started it, and restores backups in this way.
func TestRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &database{}
		c, _ := newClock(d)
		require.NoError(t, c.CheckDeletion(t.Context()))
		time.Sleep(72 * time.Hour)
		c, logs := newClock(d)
		for range 12 * 59 {
			require.ErrorIs(t, c.CheckDeletion(t.Context()), clock.ErrHeld)
			require.NoError(t, c.Check(t.Context()))
			time.Sleep(5 * time.Second)
		}
		require.Equal(t, 1, logs.Len())
		time.Sleep(time.Minute)
		require.NoError(t, c.CheckDeletion(t.Context()))
	})
}
