// Package postgres implements the job store on PostgreSQL.
//
// Every write folds events into rows that its transaction has locked, so any number of replicas may apply the same
// events at the same time.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/docmill/docmill/services/status/internal/fold"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/postgres/internal/query"
)

// writeTimeout limits one transaction, so that a write to a database that hangs is abandoned and retried.
const writeTimeout = 30 * time.Second

// Store implements [jobstore.Store].
type Store struct {
	log         *zap.Logger
	pool        *pgxpool.Pool
	readTimeout time.Duration
	audiences   []jobstore.Audience
	bell        jobstore.Bell
	trouble     trouble
	migrated    chan struct{}         // closed once the schema is up to date
	indexed     atomic.Bool           // all indexes exist
	lastErr     atomic.Pointer[error] // why the last attempt at the schema failed
}

var _ jobstore.Store = (*Store)(nil)

// Open returns a store. It connects when it is used, and becomes ready once Run has brought the schema up to date.
func Open(config Config, log *zap.Logger) (*Store, error) {
	settings, err := config.pool()
	if err != nil {
		return nil, fmt.Errorf("setting database-url: %w", err)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), settings)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return &Store{log: log, pool: pool, readTimeout: config.ReadTimeout, migrated: make(chan struct{}), bell: jobstore.NewBell()}, nil
}

// Close closes the connections of a store that does not run.
func (s *Store) Close() { s.pool.Close() }

func (s *Store) ready() error {
	select {
	case <-s.migrated:
		return nil
	default:
	}
	if cause := s.lastErr.Load(); cause != nil {
		return fmt.Errorf("%w: %w", jobstore.ErrNotReady, *cause)
	}
	return fmt.Errorf("%w: the schema has not been checked yet", jobstore.ErrNotReady)
}

// Job implements [jobstore.Store]. The read is limited by the setting database-read-timeout.
func (s *Store) Job(ctx context.Context, id uuid.UUID) (job.Job, error) {
	if err := s.ready(); err != nil {
		return job.Job{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.readTimeout)
	defer cancel()
	row, err := query.New(s.pool).GetJob(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return job.Job{}, jobstore.ErrNotFound
	}
	if err != nil {
		return job.Job{}, fmt.Errorf("read the job: %w", err)
	}
	return jobstore.Visible(fromRow(row))
}

// OldestWaiting implements [jobstore.Store].
func (s *Store) OldestWaiting(ctx context.Context) (time.Duration, error) {
	if err := s.ready(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.readTimeout)
	defer cancel()
	row, err := query.New(s.pool).GetOldestWaiting(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the oldest waiting job: %w", err)
	}
	return max(row.Now.Sub(fromNullable(row.RequestedAt)), 0), nil
}

// Apply implements [jobstore.Store].
func (s *Store) Apply(ctx context.Context, events []job.Event) ([]jobstore.Outcome, error) {
	outcomes, err := fold.Apply(ctx, events, s.applyTogether)
	if err == nil && len(events) > 0 {
		s.trouble.succeeded()
	}
	return outcomes, err
}

// errDeleted means that a job was deleted between the insertion of its placeholder, which had nothing to insert, and its
// lock.
var errDeleted = errors.New("a job was deleted meanwhile")

// applyTogether applies the events in one transaction. It repeats the transaction if a job was deleted meanwhile.
func (s *Store) applyTogether(ctx context.Context, events []job.Event) ([]jobstore.Outcome, error) {
	for {
		outcomes, err := s.applyOnce(ctx, events)
		if !errors.Is(err, errDeleted) {
			return outcomes, err
		}
	}
}

func (s *Store) applyOnce(ctx context.Context, events []job.Event) ([]jobstore.Outcome, error) {
	ids := fold.IDs(events)
	outcomes := make([]jobstore.Outcome, len(events))
	var enqueued bool
	err := s.transact(ctx, func(ctx context.Context, queries *query.Queries) error {
		if err := queries.InsertPlaceholders(ctx, ids); err != nil {
			return fmt.Errorf("insert placeholders: %w", err)
		}
		rows, err := queries.LockJobs(ctx, ids)
		if err != nil {
			return fmt.Errorf("lock the jobs: %w", err)
		}
		if len(rows) < len(ids) {
			return errDeleted
		}
		jobs, err := fromRows(rows)
		if err != nil {
			return fmt.Errorf("%w: %w", jobstore.ErrRefused, err)
		}
		batch := fold.New(jobs)
		for i, event := range events {
			outcomes[i].Changed = batch.Apply(event)
		}
		enqueued, err = write(ctx, queries, batch)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("apply %d events: %w", len(events), err)
	}
	if enqueued {
		s.bell.Ring()
	}
	return outcomes, nil
}

// Expire implements [jobstore.Store]. It skips jobs that another transaction has locked.
func (s *Store) Expire(
	ctx context.Context, age time.Duration, limit int, end func(job.Job) job.Event,
) ([]job.Job, error) {
	before, _, err := s.change(ctx, "end the overdue jobs", end, func(ctx context.Context, queries *query.Queries) ([]query.Job, error) {
		return queries.LockOverdue(ctx, query.LockOverdueParams{Age: age, MaxRows: int32(limit)})
	})
	return before, err
}

// change applies an event to each of the jobs whose rows lock returns, in one transaction, and returns the jobs before and after.
func (s *Store) change(
	ctx context.Context, what string, next func(job.Job) job.Event, lock func(context.Context, *query.Queries) ([]query.Job, error),
) (before, after []job.Job, err error) {
	var enqueued bool
	err = s.transact(ctx, func(ctx context.Context, queries *query.Queries) error {
		rows, err := lock(ctx, queries)
		if err != nil {
			return fmt.Errorf("lock the jobs: %w", err)
		}
		if before, err = fromRows(rows); err != nil {
			return err
		}
		batch := fold.New(before)
		for _, j := range before {
			batch.Apply(next(j))
		}
		after = batch.All()
		enqueued, err = write(ctx, queries, batch)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", what, err)
	}
	if enqueued {
		s.bell.Ring()
	}
	return before, after, nil
}

// DeleteWithdrawn implements [jobstore.Store]. It skips jobs that another transaction has locked.
func (s *Store) DeleteWithdrawn(ctx context.Context, age time.Duration, limit int) (int, error) {
	var deleted int64
	err := s.transact(ctx, func(ctx context.Context, queries *query.Queries) (err error) {
		deleted, err = queries.DeleteWithdrawn(ctx, query.DeleteWithdrawnParams{Age: age, MaxRows: int32(limit)})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete withdrawn jobs: %w", err)
	}
	return int(deleted), nil
}

// write writes the changed jobs in one round trip, enqueues the webhooks that their ends cause, and notifies of those whose
// state has changed in another. It reports whether it has enqueued any.
// PostgreSQL sends notifications at the commit, under a lock that all committing transactions share: hence one
// statement for the whole batch, and none for progress.
func write(ctx context.Context, queries *query.Queries, batch *fold.Batch) (enqueued bool, err error) {
	changed := batch.Changed()
	if len(changed) == 0 {
		return false, nil
	}
	rows := make([]query.WriteJobParams, len(changed))
	for i, j := range changed {
		rows[i] = toRow(j)
	}
	var failures []error
	queries.WriteJob(ctx, rows).Exec(func(_ int, err error) {
		if err != nil && len(failures) == 0 { // the errors after the first only say that there was one before
			failures = append(failures, err)
		}
	})
	if err := errors.Join(failures...); err != nil {
		return false, fmt.Errorf("write the jobs: %w", err)
	}
	if enqueued, err = enqueue(ctx, queries, batch); err != nil {
		return false, err
	}
	notable := batch.Notable()
	if len(notable) == 0 {
		return enqueued, nil
	}
	if err := queries.Notify(ctx, query.NotifyParams{Channel: channel, Payloads: payloads(notable)}); err != nil {
		return false, fmt.Errorf("notify of the changes: %w", err)
	}
	return enqueued, nil
}

func (s *Store) transact(ctx context.Context, do func(context.Context, *query.Queries) error) error {
	if err := s.ready(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return do(ctx, query.New(tx)) })
	return s.judge(ctx, err)
}
