package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/postgres/internal/query"
)

// trouble is what the store remembers about failed writes. A database may answer queries but reject all writes: it is
// read-only, its disk is full, a privilege is missing. Or it may reject only a single event. A rehearsal distinguishes the
// two: it writes rows like those of events, and rolls them back.
type trouble struct {
	// failing is set by a failed write and cleared by a successful write or rehearsal.
	failing atomic.Bool
	// suspicions counts the failures in a row that the data may have caused.
	suspicions atomic.Int32
}

// maxSuspicions is how often data may fail before it is refused, if a rehearsal succeeds.
const maxSuspicions = 3

// readOnly is the code of an error of a database that cannot be written, such as a primary that was demoted.
const readOnly = "25006"

func (t *trouble) succeeded() {
	t.failing.Store(false)
	t.suspicions.Store(0)
}

// judge returns the error of a write, as an ErrRefused if only the data can be the cause.
func (s *Store) judge(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var reply *pgconn.PgError
	if !errors.As(err, &reply) {
		s.trouble.failing.Store(true)
		return err
	}
	switch class := reply.Code[:2]; {
	case class == "22", class == "23": // data exception, constraint violation
		return fmt.Errorf("%w: %w", jobstore.ErrRefused, err)
	case reply.Code == readOnly:
		// New connections may lead to another host, and have the present settings of the database.
		s.pool.Reset()
	case slices.Contains(passing, class):
	case s.trouble.suspicions.Add(1) > maxSuspicions && s.rehearse(ctx) == nil:
		return fmt.Errorf("%w: %w", jobstore.ErrRefused, err)
	}
	s.trouble.failing.Store(true)
	return err
}

// passing are the classes of temporary errors, which do not depend on what is written: connection exception, invalid
// transaction state, invalid authorization, transaction rollback (such as a deadlock), insufficient resources, object
// not in the prerequisite state (such as a lock that is not available), operator intervention, and system error.
var passing = []string{"08", "25", "28", "40", "53", "55", "57", "58"}

// rehearsedJobs times rehearsedBytes is how much a rehearsal writes: more than is likely to be free in the table's pages,
// so that a full disk is noticed.
const rehearsedJobs, rehearsedBytes = 128, 1024

var errRehearsed = errors.New("rolled back")

// rehearse writes jobs and rolls them back. It returns nil if the database would have accepted them.
func (s *Store) rehearse(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		queries := query.New(tx)
		ids, err := queries.RehearseInsert(ctx, query.RehearseInsertParams{Jobs: rehearsedJobs, Bytes: rehearsedBytes})
		if err != nil {
			return err
		}
		if _, err := queries.LockJobs(ctx, ids); err != nil {
			return err
		}
		if err := queries.RehearseUpdate(ctx, ids); err != nil {
			return err
		}
		return errRehearsed
	})
	if errors.Is(err, errRehearsed) {
		return nil
	}
	return err
}

// Check returns nil if the database accepts writes. After a failed write it rehearses one.
func (s *Store) Check(ctx context.Context) error {
	if err := s.ready(); err != nil {
		return err
	}
	err := query.New(s.pool).Probe(ctx)
	if err == nil && s.trouble.failing.Load() {
		if err = s.rehearse(ctx); err == nil {
			s.trouble.failing.Store(false)
		}
	}
	var reply *pgconn.PgError
	if errors.As(err, &reply) && reply.Code == readOnly {
		s.pool.Reset()
	}
	if err != nil {
		return fmt.Errorf("write to the database: %w", err)
	}
	return nil
}
