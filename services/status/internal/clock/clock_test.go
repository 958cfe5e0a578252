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
	"github.com/docmill/docmill/services/status/jobstore"
)

// database is a database on this machine: its clock and that of the process are set together.
type database struct {
	ahead    time.Duration // of the clock of the test
	seen     jobstore.Observation
	readings int
	err      error
}

func (d *database) Now(context.Context) (time.Time, error) {
	d.readings++
	return time.Now().Add(d.ahead), d.err
}

func (d *database) Observe(_ context.Context, jump, hold time.Duration) (jobstore.Observation, error) {
	d.seen = d.seen.Next(time.Now().Add(d.ahead), jump, hold)
	return d.seen, d.err
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
		_, err := c.Lag(t.Context())
		require.ErrorIs(t, err, clock.ErrWrong)
		require.True(t, c.Held())
	}
	c, _ := newClock(&database{ahead: 14 * time.Minute})
	require.Zero(t, lag(t, c))
	require.False(t, c.Held())
}

// lag returns the lag of a clock that can be trusted.
func lag(t *testing.T, c *clock.Clock) time.Duration {
	t.Helper()
	lag, err := c.Lag(t.Context())
	require.NoError(t, err)
	return lag
}

// TestWarningsAreFew requires that clocks that differ are logged once a minute, and again when they differ again.
func TestWarningsAreFew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &database{ahead: time.Hour}
		c, logs := newClock(d)
		for range 24 {
			require.ErrorIs(t, c.Check(t.Context()), clock.ErrWrong)
			time.Sleep(5 * time.Second)
		}
		require.Equal(t, 2, logs.Len())
		d.ahead = 0
		require.NoError(t, c.Check(t.Context()))
		d.ahead = time.Hour
		require.ErrorIs(t, c.Check(t.Context()), clock.ErrWrong)
		require.Equal(t, 3, logs.Len())
	})
}

// TestSleep requires that the clock is read again after the machine has slept: the clock of the process stood still.
func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &database{}
		c, _ := newClock(d)
		_, err := c.Now(t.Context())
		require.NoError(t, err)
		c.Sleep(8 * time.Hour)
		d.ahead = 8 * time.Hour
		now, err := c.Now(t.Context())
		require.NoError(t, err)
		require.Equal(t, time.Now().Add(8*time.Hour), now)
		_, err = c.Now(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, d.readings)
	})
}

// TestJump sets the clock forward, by less than a hold, in small steps, so that the clock of the process never differs by much: the bubble
// has only one clock. It requires that nothing is ended or deleted for an hour, and at once again if the clock is corrected.
func TestJump(t *testing.T) {
	t.Parallel()
	for name, check := range map[string]func(*clock.Clock, context.Context) error{
		"of a sweep": (*clock.Clock).Check,
		"of a deletion": func(c *clock.Clock, ctx context.Context) error {
			if lag, err := c.Lag(ctx); err != nil || lag == 0 {
				return err
			}
			return clock.ErrHeld
		},
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

// TestCorrection requires that a clock that was set forward, and then to another wrong time, is not trusted earlier.
func TestCorrection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &database{ahead: -10 * time.Hour} // both clocks were behind
		c, _ := newClock(d)
		_, err := c.Now(t.Context())
		require.NoError(t, err)
		d.ahead = 0
		require.ErrorIs(t, c.Check(t.Context()), clock.ErrHeld)
		for _, ahead := range []time.Duration{-2 * time.Hour, -65 * time.Minute} {
			d.ahead = ahead
			require.ErrorIs(t, c.Check(t.Context()), clock.ErrWrong)
		}
		d.ahead = -10 * time.Minute
		require.ErrorIs(t, c.Check(t.Context()), clock.ErrHeld)
		d.ahead = -10*time.Hour - time.Minute
		require.ErrorIs(t, c.Check(t.Context()), clock.ErrWrong)
		d.ahead = -9*time.Hour - 10*time.Minute
		require.ErrorIs(t, c.Check(t.Context()), clock.ErrWrong)
	})
}

// TestRestart requires that a process that has just started deletes only what had expired when the last one stopped, if that is long
// ago, but that it ends overdue jobs: an operator has started it, and restores backups in this way.
func TestRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &database{}
		c, _ := newClock(d)
		require.Zero(t, lag(t, c))
		time.Sleep(72 * time.Hour)
		c, logs := newClock(d)
		for range 12 * 59 {
			require.Equal(t, 72*time.Hour, lag(t, c))
			require.True(t, c.Held())
			require.NoError(t, c.Check(t.Context()))
			time.Sleep(5 * time.Second)
		}
		require.Equal(t, 1, logs.Len())
		time.Sleep(time.Minute)
		require.Zero(t, lag(t, c))
		require.False(t, c.Held())
	})
}

// TestShortSessions requires that a service that is used for 40 minutes a day, or for 5, deletes what has expired days ago.
func TestShortSessions(t *testing.T) {
	t.Parallel()
	for _, session := range []time.Duration{40 * time.Minute, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			d := &database{}
			for day := range 14 {
				c, _ := newClock(d)
				for range session / (5 * time.Second) {
					require.Less(t, lag(t, c), 4*24*time.Hour, "day %d", day)
					time.Sleep(5 * time.Second)
				}
				time.Sleep(24*time.Hour - session)
			}
		})
	}
}
