// Package postgres keeps jobs in PostgreSQL and tells about their changes.
//
// All of its writes are folds under a row's lock, so any number of replicas may apply the same events at the same time.
package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/docmill/docmill/services/status/internal/fold"
	"github.com/docmill/docmill/services/status/internal/postgres/query"
)

var (
	// ErrNotFound says that there is no job of that id, or that its submission is not known yet.
	ErrNotFound = errors.New("no such job")
	// ErrNotMigrated says that the database has not been brought to this program's schema yet.
	ErrNotMigrated = errors.New("the database's schema is not there yet")
	// ErrRefused says that the database works and will not take the data, now or ever.
	ErrRefused = errors.New("the database refuses the data")
)

// writeTimeout bounds one transaction, so that a database that hangs is left and tried again.
const writeTimeout = 30 * time.Second

// Store is the table of jobs. It is safe for concurrent use.
type Store struct {
	log         *zap.Logger
	pool        *pgxpool.Pool
	readTimeout time.Duration
	migrated    chan struct{}         // closed when the schema is there
	hindrance   atomic.Pointer[error] // why it is not
}

// Open makes a store. It connects when it is used, and can be used once Run has brought the schema up to date.
func Open(config Config, log *zap.Logger) (*Store, error) {
	settings, err := config.pool()
	if err != nil {
		return nil, fmt.Errorf("setting database-url: %w", err)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), settings)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return &Store{log: log, pool: pool, readTimeout: config.ReadTimeout, migrated: make(chan struct{})}, nil
}

// Check returns nil when the database answers and has the schema.
func (s *Store) Check(ctx context.Context) error {
	if err := s.ready(); err != nil {
		return err
	}
	return s.pool.Ping(ctx)
}

func (s *Store) ready() error {
	select {
	case <-s.migrated:
		return nil
	default:
	}
	if cause := s.hindrance.Load(); cause != nil {
		return fmt.Errorf("%w: %w", ErrNotMigrated, *cause)
	}
	return ErrNotMigrated
}

// Job reads one job within the setting database-read-timeout. It returns ErrNotFound for an unknown id and for a stub.
func (s *Store) Job(ctx context.Context, id uuid.UUID) (fold.Job, error) {
	if err := s.ready(); err != nil {
		return fold.Job{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.readTimeout)
	defer cancel()
	row, err := query.New(s.pool).GetJob(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return fold.Job{}, ErrNotFound
	}
	if err != nil {
		return fold.Job{}, fmt.Errorf("read the job: %w", err)
	}
	return fromRow(row), nil
}

// Outcome is what became of one event.
type Outcome struct {
	// Changed tells whether the event changed its job; duplicates and late ones do not.
	Changed bool
	// Refused is why the event can never be applied, an ErrRefused; nil otherwise.
	Refused error
}

// Apply folds the events, in their order, into their jobs in one transaction. When the database refuses the data of one of
// them, each gets a transaction of its own and the bad one is told by its outcome: it must not hold up the others.
// After an error it is open how much was applied: applying the same events again finds out.
func (s *Store) Apply(ctx context.Context, events []fold.Event) ([]Outcome, error) {
	if len(events) == 0 {
		return nil, nil
	}
	outcomes, err := s.applyTogether(ctx, events)
	switch {
	case err == nil:
		return outcomes, nil
	case !errors.Is(err, ErrRefused):
		return nil, err
	case len(events) == 1:
		return []Outcome{{Refused: err}}, nil
	}
	outcomes = outcomes[:0]
	for i := range events {
		one, err := s.Apply(ctx, events[i:i+1])
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, one...)
	}
	return outcomes, nil
}

func (s *Store) applyTogether(ctx context.Context, events []fold.Event) ([]Outcome, error) {
	ids := make([]uuid.UUID, len(events))
	for i, event := range events {
		ids[i] = event.Job()
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)

	outcomes := make([]Outcome, len(events))
	err := s.transact(ctx, func(ctx context.Context, queries *query.Queries) error {
		if err := queries.InsertStubs(ctx, ids); err != nil {
			return fmt.Errorf("make room for new jobs: %w", err)
		}
		rows, err := queries.LockJobs(ctx, ids)
		if err != nil {
			return fmt.Errorf("lock the jobs: %w", err)
		}
		work := newFolding(rows)
		for i, event := range events {
			outcomes[i].Changed = work.apply(event)
		}
		return work.write(ctx, queries)
	})
	if err != nil {
		return nil, fmt.Errorf("apply %d events: %w", len(events), err)
	}
	return outcomes, nil
}

// Expire ends up to most of the jobs that were first heard of longer ago than deadline and have not ended. It gives the jobs as
// they were. Several replicas may do it at once: each takes other jobs.
func (s *Store) Expire(ctx context.Context, deadline time.Duration, most int, end func(fold.Job) fold.Event) ([]fold.Job, error) {
	var expired []fold.Job
	err := s.transact(ctx, func(ctx context.Context, queries *query.Queries) error {
		rows, err := queries.LockOverdue(ctx, query.LockOverdueParams{Deadline: deadline, Most: int32(most)})
		if err != nil {
			return fmt.Errorf("lock what is overdue: %w", err)
		}
		work := newFolding(rows)
		expired = make([]fold.Job, len(rows))
		for i, row := range rows {
			expired[i] = fromRow(row)
			work.apply(end(expired[i]))
		}
		return work.write(ctx, queries)
	})
	if err != nil {
		return nil, fmt.Errorf("end the jobs past their deadline: %w", err)
	}
	return expired, nil
}

func (s *Store) transact(ctx context.Context, do func(context.Context, *query.Queries) error) error {
	if err := s.ready(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return do(ctx, query.New(tx)) })
	if refused(err) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// refused tells the errors that are about the data: PostgreSQL's classes 22 (data exception) and 23 (constraint violated).
func refused(err error) bool {
	var told *pgconn.PgError
	return errors.As(err, &told) && (told.Code[:2] == "22" || told.Code[:2] == "23")
}
