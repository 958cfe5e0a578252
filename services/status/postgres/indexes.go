package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/retry"
	"github.com/docmill/docmill/services/status/jobstore"
)

// An index that is not created by a migration. There, CREATE INDEX would block all writes to a large table for as long as it
// takes, and CREATE INDEX CONCURRENTLY would not work: it waits for all transactions that are older, among them that of a
// replica that waits for Tern's lock.
type index struct{ name, definition string }

// indexes returns the indexes of the housekeeping and of the lists of jobs. If a definition changes, the index must get a new name.
func indexes() []index {
	return []index{
		{"jobs_due", "ON jobs (due_at) WHERE due_at IS NOT NULL"},
		// This finds the requests of clients among a million expired jobs. Usually there are none.
		{"jobs_requested", "ON jobs (due_at) WHERE unpublished OR gone = 'deleted' AND NOT files_deleted"},
		// Jobs that a replica of an earlier release has ended. Usually there are none.
		{"jobs_unscheduled", "ON jobs (finished_at) WHERE status IN ('succeeded', 'failed', 'canceled') AND expires_at IS NULL"},
		// To find the job of a stored document.
		{"jobs_source_key", "ON jobs (source_key) WHERE source_key <> ''"},
		// Copies of results have no build, so however many there are, they are not in the index.
		{"jobs_cached", "ON jobs (cache_digest, build, expires_at) WHERE build IS NOT NULL AND status = 'succeeded' AND gone = ''"},
		{"jobs_listed", "ON jobs (status, id) WHERE requested_at IS NOT NULL AND NOT withdrawn AND gone = ''"},
		{"jobs_tagged", "ON jobs (left(tag, 128), status, id) WHERE tag <> '' AND requested_at IS NOT NULL AND NOT withdrawn AND gone = ''"},
	}
}

// indexLock is the advisory lock of the replica that builds indexes. The number is arbitrary.
const indexLock = 0x646f636d696c6c

// smallTable is the number of jobs up to which an index is built at once, which takes milliseconds.
const smallTable = 1000

// indexSmallTable builds the missing indexes if there are few jobs, as in a new database. If another replica is building them,
// there is nothing to do.
func indexSmallTable(ctx context.Context, connection *pgx.Conn) error {
	err := pgx.BeginFunc(ctx, connection, func(tx pgx.Tx) error {
		var free bool
		var jobs int
		err := tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1), (SELECT count(*) FROM (SELECT FROM jobs LIMIT $2) AS first_rows)",
			indexLock, smallTable+1).Scan(&free, &jobs)
		if err != nil || !free || jobs > smallTable {
			return err
		}
		for _, missing := range indexes() {
			if _, err := tx.Exec(ctx, "CREATE INDEX IF NOT EXISTS "+missing.name+" "+missing.definition); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("build the indexes: %w", err)
	}
	return nil
}

// errBuilding means that another replica builds indexes.
var errBuilding = errors.New("another replica is building indexes")

// buildIndexes builds the indexes that are missing, until they exist or ctx ends. Until then lists are slow, or exceed
// database-read-timeout, and nothing is deleted; nothing else depends on the indexes.
func (s *Store) buildIndexes(ctx context.Context) {
	_ = retry.Loop(ctx, reconnect, s.log, "the indexes are not complete; retrying", s.buildIndexesOnce) // until ctx ends
}

// buildIndexesOnce builds the missing indexes on a connection of its own, without a limit on the time to wait for locks: nobody
// waits for one that waits here.
func (s *Store) buildIndexesOnce(ctx context.Context) error {
	connection, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer connection.Close(context.WithoutCancel(ctx)) // releases the lock
	for _, wanted := range indexes() {
		valid, err := isValid(ctx, connection, wanted)
		if err == nil && !valid {
			err = s.build(ctx, connection, wanted)
		}
		if err != nil {
			return fmt.Errorf("build the index %s: %w", wanted.name, err)
		}
	}
	s.indexed.Store(true)
	return nil
}

// checkIndexes records whether all indexes exist already.
func (s *Store) checkIndexes(ctx context.Context, connection *pgx.Conn) error {
	for _, wanted := range indexes() {
		if valid, err := isValid(ctx, connection, wanted); err != nil || !valid {
			return err
		}
	}
	s.indexed.Store(true)
	return nil
}

// errNoIndexes means that the housekeeping would read the whole table.
var errNoIndexes = fmt.Errorf("%w: indexes are being built", jobstore.ErrNotReady)

func isValid(ctx context.Context, connection *pgx.Conn, wanted index) (valid bool, err error) {
	err = connection.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass($1) AND indisvalid)", wanted.name).Scan(&valid)
	return valid, err
}

// build builds an index, unless another replica does. An attempt that failed, or was killed, leaves an invalid index, which costs
// writes and is of no use.
func (s *Store) build(ctx context.Context, connection *pgx.Conn, wanted index) error {
	var locked bool
	if err := connection.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", indexLock).Scan(&locked); err != nil {
		return err
	}
	if !locked {
		return errBuilding
	}
	if valid, err := isValid(ctx, connection, wanted); err != nil || valid { // built between the check and the lock
		return err
	}
	began := time.Now()
	if _, err := connection.Exec(ctx, "DROP INDEX CONCURRENTLY IF EXISTS "+wanted.name); err != nil {
		return err
	}
	if _, err := connection.Exec(ctx, "CREATE INDEX CONCURRENTLY "+wanted.name+" "+wanted.definition); err != nil {
		return err
	}
	s.log.Info("built an index", zap.String("index", wanted.name), zap.Duration("took", time.Since(began)))
	return nil
}
