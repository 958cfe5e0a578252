package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

const (
	// checkpointEvery is the number of transactions after which the log is copied into the database. Most transactions
	// write 2 to 10 pages.
	checkpointEvery = 256
	// maxLogFrames is from how many pages in the log on SQLite itself checkpoints within a COMMIT: 16 MiB. It bounds the
	// log when few transactions write very much. What exceeds it is cut off when the log starts anew.
	maxLogFrames = 4096
	// forceLogFrames is from how many pages on a checkpoint waits for the readers that keep the log from starting anew: 64
	// MiB. It waits for forceTimeout, during which nothing is written, and then lets the log grow further.
	forceLogFrames = 16384
	forceTimeout   = 500 * time.Millisecond
	// vacuumFrom and vacuumPages: a database with more free pages than used ones, and at least vacuumFrom (4 MiB), is
	// reduced by vacuumPages (2 MiB) at each checkpoint. Under a steady load the free pages are reused instead.
	vacuumFrom  = 1024
	vacuumPages = 512
)

// maintain does what keeps the files small, between transactions and after their results have been delivered. It runs
// on the writer's goroutine because a checkpoint that runs beside writes never reaches the end of the log, which could
// then never start anew.
//
// On a full disk it checkpoints at once: then the log can start anew in the space that it has, and deleting works.
func (w *writer) maintain() {
	full := w.db.full.Load()
	if w.commits < checkpointEvery && !full {
		return
	}
	w.commits = 0
	frames, err := w.checkpoint("PASSIVE")
	if err == nil && frames >= forceLogFrames {
		err = w.forceCheckpoint()
	}
	if err == nil && !full {
		err = w.vacuum()
	}
	if err != nil && !full {
		w.db.log.Warn("database maintenance failed; it will be retried", zap.Error(Classify(err)))
	}
}

// checkpoint copies the log into the database and returns how many pages the log has.
func (w *writer) checkpoint(mode string) (int, error) {
	defer func(began time.Time) { w.db.metrics.checkpoints.Observe(time.Since(began).Seconds()) }(time.Now())
	var busy, frames, copied int
	err := w.tx.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &frames, &copied)
	w.db.metrics.logFrames.Set(float64(frames))
	return frames, err
}

// forceCheckpoint waits for readers, so that the log can start anew.
func (w *writer) forceCheckpoint() error {
	ctx := context.Background()
	_, err := w.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", forceTimeout.Milliseconds()))
	if err != nil {
		return err
	}
	_, err = w.checkpoint("RESTART")
	_, reset := w.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", busyTimeout.Milliseconds()))
	return errors.Join(err, reset)
}

// vacuum returns free pages to the file system.
func (w *writer) vacuum() error {
	var free, pages int
	ctx := context.Background()
	if err := w.tx.QueryRowContext(ctx, "PRAGMA freelist_count").Scan(&free); err != nil {
		return err
	}
	if err := w.tx.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
		return err
	}
	if free < vacuumFrom || free < pages/2 {
		return nil
	}
	rows, err := w.conn.QueryContext(ctx, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", vacuumPages)) // each step of the query frees one page
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() { //nolint:revive // nothing to read
	}
	return rows.Err()
}
