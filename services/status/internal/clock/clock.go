// Package clock tells the time by the clock of the database, which all replicas share, and decides whether that clock can be trusted
// to end and delete something. Deletions cannot be undone, so a clock that has jumped is given time to be corrected.
package clock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/services/status/jobstore"
)

const (
	// maxSkew is the difference above which one of the clocks is considered wrong. It is less than watermark.SweepMargin, so a
	// smaller error ends no job before its deadline.
	maxSkew = 15 * time.Minute
	// jump is how much further the clock of the database may advance than time has passed. A smaller error deletes files that much
	// too early.
	jump = time.Hour
	// hold is how long after a jump nothing is deleted that had not expired before, so that an operator, or NTP, can correct the clock.
	hold = time.Hour
	// maxAge is how long a reading of the clock is used.
	maxAge = time.Minute
	// observeEvery is the time between two observations that are stored, if there is no jump.
	observeEvery = 30 * time.Second
	// maxSleep is by how much the two clocks of this machine may differ since a reading. They differ if it has slept in between.
	maxSleep = time.Second
	// warnEvery is the time between two warnings about clocks that differ.
	warnEvery = time.Minute
)

// ErrHeld means that the clock may be wrong, so nothing is ended or deleted at present. The reason was logged.
var ErrHeld = errors.New("the clock of the database may be wrong: nothing is deleted at present")

// ErrWrong means that the clock of the database, or that of this machine, is wrong. That was logged.
var ErrWrong = errors.New("the clock of the database and that of this machine differ")

// InDoubt reports whether an error of Check or Lag says that the clock cannot be trusted.
func InDoubt(err error) bool { return errors.Is(err, ErrHeld) || errors.Is(err, ErrWrong) }

// Database is a database with a clock. See jobstore.Store.
type Database interface {
	Now(ctx context.Context) (time.Time, error)
	Observe(ctx context.Context, jump, hold time.Duration) (jobstore.Observation, error)
}

// Clock is the clock of a database. It is safe for concurrent use.
type Clock struct {
	database Database
	log      *zap.Logger
	held     atomic.Bool

	mu sync.Mutex
	// now is what was read last, at the time readAt of this process; wallAt is that without the reading of its monotonic clock.
	now, readAt, wallAt time.Time
	// jumpedAt is when this process has last noticed a jump forward; expected is what the clock would have shown without the first of
	// the jumps, at the time readAt.
	jumpedAt, expected time.Time
	// observedAt is when this process has last stored an observation.
	observedAt time.Time
	// logged is the end of the hold that was logged last.
	logged time.Time
	// warnedAt is when this process has last warned about clocks that differ. It is zero if they agree.
	warnedAt time.Time
}

// New returns the clock of a database.
func New(database Database, log *zap.Logger) *Clock { return &Clock{database: database, log: log} }

// Now returns the time by the clock of the database, in whole microseconds. It is computed from a reading that is at most a minute old:
// the clocks of processes may be wrong, but not that fast. The clock is read again if this machine has slept since, because the
// monotonic clock of the process stands still meanwhile.
func (c *Clock) Now(ctx context.Context) (time.Time, error) {
	c.mu.Lock()
	now, readAt, wallAt := c.now, c.readAt, c.wallAt
	c.mu.Unlock()
	at := time.Now()
	since := at.Sub(readAt)
	slept := at.Round(0).Sub(wallAt) - since
	if !readAt.IsZero() && since < maxAge && slept.Abs() < maxSleep {
		return now.Add(since).Truncate(time.Microsecond), nil
	}
	return c.read(ctx)
}

// read reads the clock of the database.
func (c *Clock) read(ctx context.Context) (time.Time, error) {
	now, err := c.database.Now(ctx)
	if err != nil {
		return time.Time{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := time.Now()
	if !c.readAt.IsZero() {
		c.compare(now, at)
	}
	c.now, c.readAt, c.wallAt = now, at, at.Round(0)
	return now, nil
}

// compare compares a reading at the time of this process with the one before.
func (c *Clock) compare(now, at time.Time) {
	passed := at.Sub(c.readAt) // by the monotonic clock
	held := c.holds(at)
	if c.expected = c.expected.Add(passed); !held {
		c.expected = c.now.Add(passed)
	}
	if ahead := now.Sub(c.now) - passed; ahead > jump {
		c.jumpedAt = at
		c.log.Warn("the clock of the database has jumped forward; in case it is wrong, no overdue jobs are failed for a while, and nothing is deleted that has expired since",
			zap.Duration("jump", ahead), zap.Duration("hold", hold))
	} else if held && now.Sub(c.expected).Abs() <= jump {
		c.jumpedAt = time.Time{} // it was corrected
	}
}

// holds reports whether this process has noticed a jump a short time ago. The caller has locked the mutex.
func (c *Clock) holds(at time.Time) bool { return !c.jumpedAt.IsZero() && at.Sub(c.jumpedAt) < hold }

// Check returns ErrWrong if the clock of the database and that of this machine differ by more than 15 minutes. The age of a job depends
// on the clock of the database: if it is ahead by more than the deadline, all unfinished jobs seem overdue. Check returns ErrHeld for an
// hour after the clock has jumped forward. SQLite uses the clock of this process, so there only jumps are noticed.
func (c *Clock) Check(ctx context.Context) error {
	now, err := c.read(ctx)
	if err != nil {
		return err
	}
	ahead := time.Until(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	if ahead.Abs() > maxSkew {
		c.warn(ahead)
		return fmt.Errorf("%w: it is ahead by %s", ErrWrong, ahead.Round(time.Second))
	}
	c.warnedAt = time.Time{}
	if c.holds(time.Now()) {
		return ErrHeld
	}
	return nil
}

// warn logs that the clocks differ, if it has not done so a short time ago. The caller has locked the mutex.
func (c *Clock) warn(ahead time.Duration) {
	if !c.warnedAt.IsZero() && time.Since(c.warnedAt) < warnEvery {
		return
	}
	c.warnedAt = time.Now()
	c.log.Warn("the clock of the database and that of this machine differ; no jobs are failed or deleted until they agree",
		zap.Duration("ahead", ahead.Round(time.Second)))
}

// Lag is for callers that delete files or rows. It returns by how much the clock of the database may be ahead: only what had expired
// that much earlier may be deleted. The lag is not zero for an hour if the clock has advanced by more than an hour since any replica has
// last observed it, even if all processes were restarted in between. Then either the clock was set, or the service was stopped; in that
// case, the deletion can wait. An error that is InDoubt means that nothing may be deleted.
func (c *Clock) Lag(ctx context.Context) (time.Duration, error) {
	lag, err := c.lag(ctx)
	if err == nil || InDoubt(err) {
		c.held.Store(err != nil || lag > 0)
	}
	return lag, err
}

// Held reports whether the last call of Lag has returned a lag or an error that is InDoubt.
func (c *Clock) Held() bool { return c.held.Load() }

func (c *Clock) lag(ctx context.Context) (time.Duration, error) {
	err := c.Check(ctx)
	jumped := errors.Is(err, ErrHeld)
	if err != nil && !jumped {
		return 0, err
	}
	c.mu.Lock()
	recent := !jumped && !c.observedAt.IsZero() && time.Since(c.observedAt) < observeEvery && c.logged.IsZero()
	c.mu.Unlock()
	if recent {
		return 0, nil
	}
	seen, failure := c.database.Observe(ctx, jump, hold)
	if failure != nil {
		return 0, failure
	}
	c.observed(seen)
	lag, known := seen.Lag()
	if !known || jumped && !seen.Held() {
		return 0, ErrHeld
	}
	return lag, nil
}

// observed notes an observation, and logs a new hold.
func (c *Clock) observed(seen jobstore.Observation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.observedAt = time.Now()
	if seen.HeldUntil.After(c.logged) {
		c.log.Warn("deleting only what had expired at an earlier time: the clock is far ahead of the time at which the service was last active. "+
			"Either the service was stopped, or the clock is wrong; if it is wrong, correct it before held_until",
			zap.Time("expired_until", seen.Trusted), zap.Time("held_until", seen.HeldUntil))
	}
	c.logged = seen.HeldUntil
}
