// Package clock tells the time by the clock of the database, which all replicas share, and decides whether that clock can be trusted
// to end and delete something. Deletions cannot be undone, so a clock that has jumped is given time to be corrected.
package clock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// maxSkew is the difference above which one of the clocks is considered wrong. It is less than watermark.SweepMargin, so a
	// smaller error ends no job before its deadline.
	maxSkew = 15 * time.Minute
	// jump is how much further the clock of the database may advance than time has passed. A smaller error deletes files that much
	// too early.
	jump = time.Hour
	// hold is how long nothing is deleted after a jump, so that an operator, or NTP, can correct the clock.
	hold = time.Hour
	// maxAge is how long a reading of the clock is used.
	maxAge = time.Minute
	// observeEvery is the time between two observations that are stored, if there is no jump.
	observeEvery = 30 * time.Second
)

// ErrHeld means that the clock may be wrong, so nothing is ended or deleted at present. The reason was logged.
var ErrHeld = errors.New("the clock of the database may be wrong: nothing is deleted at present")

// ErrWrong means that the clock of the database, or that of this machine, is wrong.
var ErrWrong = errors.New("the clock of the database and that of this machine differ")

// InDoubt reports whether an error of Check or CheckDeletion says that the clock cannot be trusted.
func InDoubt(err error) bool { return errors.Is(err, ErrHeld) || errors.Is(err, ErrWrong) }

// Database is a database with a clock. See jobstore.Store.
type Database interface {
	Now(ctx context.Context) (time.Time, error)
	Observe(ctx context.Context, jump, hold time.Duration) (heldUntil time.Time, err error)
}

// Clock is the clock of a database. It is safe for concurrent use.
type Clock struct {
	database Database
	log      *zap.Logger

	mu sync.Mutex
	// now is what was read last, at the time readAt of this process.
	now, readAt time.Time
	// jumpedAt is when this process has last noticed a jump forward.
	jumpedAt time.Time
	// observedAt is when this process has last stored an observation.
	observedAt time.Time
	// logged is the end of the hold that was logged last.
	logged time.Time
}

// New returns the clock of a database.
func New(database Database, log *zap.Logger) *Clock { return &Clock{database: database, log: log} }

// Now returns the time by the clock of the database, in whole microseconds. It is computed from a reading that is at most a minute old:
// the clocks of processes may be wrong, but not that fast.
func (c *Clock) Now(ctx context.Context) (time.Time, error) {
	c.mu.Lock()
	now, readAt := c.now, c.readAt
	c.mu.Unlock()
	if since := time.Since(readAt); !readAt.IsZero() && since < maxAge {
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
		switch ahead := now.Sub(c.now) - at.Sub(c.readAt); { // of two readings of a monotonic clock
		case ahead > jump:
			c.jumpedAt = at
			c.log.Warn("the clock of the database has jumped forward; in case it is wrong, no overdue jobs are failed and nothing is deleted for a while",
				zap.Duration("jump", ahead), zap.Duration("hold", hold))
		case ahead < -jump:
			c.jumpedAt = time.Time{} // it was corrected
		}
	}
	c.now, c.readAt = now, at
	return now, nil
}

// Check returns ErrWrong if the clock of the database and that of this machine differ by more than 15 minutes. The age of a job depends
// on the clock of the database: if it is ahead by more than the deadline, all unfinished jobs seem overdue. Check returns ErrHeld for an
// hour after the clock has jumped forward. SQLite uses the clock of this process, so there only jumps are noticed.
func (c *Clock) Check(ctx context.Context) error {
	now, err := c.read(ctx)
	if err != nil {
		return err
	}
	if ahead := time.Until(now); ahead.Abs() > maxSkew {
		return fmt.Errorf("%w: it is ahead by %s", ErrWrong, ahead.Round(time.Second))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.jumpedAt.IsZero() && time.Since(c.jumpedAt) < hold {
		return ErrHeld
	}
	return nil
}

// CheckDeletion is Check for callers that delete files or rows. It also returns ErrHeld for an hour if the clock has advanced by more
// than an hour since any replica has last observed it, even if all processes were restarted in between. Then either the clock was set, or
// the service was stopped; in that case, the deletion can wait.
func (c *Clock) CheckDeletion(ctx context.Context) error {
	err := c.Check(ctx)
	held := errors.Is(err, ErrHeld)
	if err != nil && !held {
		return err
	}
	c.mu.Lock()
	recent := !held && !c.observedAt.IsZero() && time.Since(c.observedAt) < observeEvery && c.logged.IsZero()
	c.mu.Unlock()
	if recent {
		return nil
	}
	until, failure := c.database.Observe(ctx, jump, hold)
	if failure != nil {
		return failure
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.observedAt = time.Now()
	if until.After(c.logged) {
		c.log.Warn("deleting nothing for a while: the clock is far ahead of the time at which the service was last active. "+
			"Either the service was stopped, or the clock is wrong; if it is wrong, correct it before held_until", zap.Time("held_until", until))
	}
	c.logged = until
	if !until.IsZero() {
		return ErrHeld
	}
	return err
}
