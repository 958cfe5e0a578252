// Package clock compares the clock of the database with that of this process.
package clock

import (
	"context"
	"fmt"
	"time"
)

// maxSkew is the difference from which on one of the clocks is considered wrong. It is less than watermark.SweepMargin, so a
// smaller error ends no job before its deadline.
const maxSkew = 15 * time.Minute

// Database is a database with a clock.
type Database interface {
	Now(ctx context.Context) (time.Time, error)
}

// Check returns an error if the clock of the database, which the age of a job depends on, cannot be trusted: if it is ahead by more
// than the deadline, all unfinished jobs seem overdue. SQLite uses the clock of this process, so there it never differs.
func Check(ctx context.Context, database Database) error {
	now, err := database.Now(ctx)
	if err != nil {
		return err
	}
	if ahead := time.Until(now); ahead.Abs() > maxSkew {
		return fmt.Errorf("the clock of the database is ahead of that of this machine by %s; one of them is wrong",
			ahead.Round(time.Second))
	}
	return nil
}
