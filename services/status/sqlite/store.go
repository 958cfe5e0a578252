// Package sqlite implements the job store on SQLite, for the single-process edition.
//
// All writes of the process go through the one writer of platform/sqlite, so a transaction needs no row locks: nothing
// else changes a job between its read and its write.
//
// # Durability
//
// Writes are relaxed, except for those that clients have requested: they survive the death of the process, but a power loss may take the latest of them. Nothing is
// inconsistent then, because the message queue is in the same database and therefore in the same write-ahead log, of
// which a power loss takes a suffix. The acknowledgment of an event is written after its effect on the job. So if the
// effect is lost, the acknowledgment is lost too, and the event, whose publication was durable, is delivered again.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/platform/sqlite"
	"github.com/docmill/docmill/services/status/internal/fold"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/sqlite/internal/query"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store implements [jobstore.Store].
type Store struct {
	db        *sqlite.DB
	audiences []jobstore.Audience
	bell      jobstore.Bell
	running   atomic.Bool

	choresMutex sync.Mutex
	chores      map[string]time.Time // when each is to be done next
}

var _ jobstore.Store = (*Store)(nil)

// New returns a store in the database, which must stay open while the store runs.
func New(db *sqlite.DB) *Store {
	return &Store{db: db, chores: map[string]time.Time{}, bell: jobstore.NewBell()}
}

// Notify implements [jobstore.Store].
func (s *Store) Notify(audience jobstore.Audience) { s.audiences = append(s.audiences, audience) }

// Migrate brings the tables up to date. It returns sqlite.ErrNewerVersion if a newer version of the program has written
// them.
func (s *Store) Migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	return s.db.Migrate(ctx, "jobs", files)
}

// Run implements [jobstore.Store]. It brings the tables up to date first. Unlike a remote database, the file is there
// or it is not, so Run returns an error instead of trying again.
func (s *Store) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	if err := s.restartDeadlines(ctx); err != nil {
		return err
	}
	if err := s.releaseLeases(ctx); err != nil {
		return err
	}
	s.running.Store(true)
	defer s.running.Store(false)
	ready()
	for _, audience := range s.audiences {
		audience.WakeAll()
	}
	select {
	case <-drain:
	case <-ctx.Done():
	}
	return nil
}

// restartDeadlines gives the unfinished jobs their full time again: nothing could work on them while the process was
// stopped, be it for a weekend. Their commands are in the same database, so every job still comes to its end.
func (s *Store) restartDeadlines(ctx context.Context) error {
	err := s.db.Write(ctx, sqlite.Relaxed, func(ctx context.Context, tx *sqlite.Tx) error {
		return query.New(tx).RestartDeadlines(ctx, time.Now().UnixMicro())
	})
	if err != nil {
		return fmt.Errorf("restart the deadlines of unfinished jobs: %w", err)
	}
	return nil
}

// Check implements [jobstore.Store].
func (s *Store) Check(ctx context.Context) error {
	if err := s.ready(); err != nil {
		return err
	}
	return s.db.Check(ctx)
}

func (s *Store) ready() error {
	if !s.running.Load() {
		return fmt.Errorf("%w: it is not running", jobstore.ErrNotReady)
	}
	return nil
}

// Job implements [jobstore.Store].
func (s *Store) Job(ctx context.Context, id uuid.UUID) (job.Job, error) {
	if err := s.ready(); err != nil {
		return job.Job{}, err
	}
	row, err := query.New(s.db.Reader()).GetJob(ctx, id[:])
	if errors.Is(err, sql.ErrNoRows) {
		return job.Job{}, jobstore.ErrNotFound
	}
	if err != nil {
		return job.Job{}, fmt.Errorf("read the job: %w", sqlite.Classify(err))
	}
	return jobstore.Visible(fromRow(row))
}

// OldestWaiting implements [jobstore.Store].
func (s *Store) OldestWaiting(ctx context.Context) (time.Duration, error) {
	if err := s.ready(); err != nil {
		return 0, err
	}
	requested, err := query.New(s.db.Reader()).GetOldestWaiting(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the oldest waiting job: %w", sqlite.Classify(err))
	}
	return max(time.Since(fromMicroseconds(requested)), 0), nil
}

// Apply implements [jobstore.Store].
func (s *Store) Apply(ctx context.Context, events []job.Event) ([]jobstore.Outcome, error) {
	return fold.Apply(ctx, events, s.applyTogether)
}

// durability returns how the effect of events is written. What clients have requested comes from no queue, which would deliver it
// again after a power loss.
func durability(events []job.Event) sqlite.Durability {
	for _, event := range events {
		switch e := event.(type) {
		case job.Removed, job.Retried:
			return sqlite.Durable
		case job.Ended:
			if e.Status == job.Canceled || e.Report != nil && e.Report.Cached {
				return sqlite.Durable
			}
		}
	}
	return sqlite.Relaxed
}

// applyTogether applies the events in one transaction.
func (s *Store) applyTogether(ctx context.Context, events []job.Event) ([]jobstore.Outcome, error) {
	outcomes := make([]jobstore.Outcome, len(events))
	err := s.write(ctx, durability(events), func(ctx context.Context, queries *query.Queries) (*fold.Batch, error) {
		jobs, err := readJobs(ctx, queries, fold.IDs(events))
		if err != nil {
			return nil, err
		}
		batch := fold.New(jobs)
		for i, event := range events {
			outcomes[i].Changed = batch.Apply(event)
		}
		return batch, nil
	})
	if err != nil {
		return nil, fmt.Errorf("apply %d events: %w", len(events), err)
	}
	return outcomes, nil
}

// readJobs reads the jobs. Those that are not in the database are new placeholders. Single reads of a prepared
// statement take microseconds each; one query with a list of ids would have to be prepared for each length of the
// list.
func readJobs(ctx context.Context, queries *query.Queries, ids []uuid.UUID) ([]job.Job, error) {
	jobs := make([]job.Job, len(ids))
	for i, id := range ids {
		row, err := queries.GetJob(ctx, id[:])
		switch {
		case errors.Is(err, sql.ErrNoRows):
			jobs[i] = job.New(id)
		case err != nil:
			return nil, fmt.Errorf("read the job %s: %w", id, err)
		default:
			if jobs[i], err = fromRow(row); err != nil {
				return nil, fmt.Errorf("%w: %w", jobstore.ErrRefused, err)
			}
		}
	}
	return jobs, nil
}

// Expire implements [jobstore.Store]. Calls run one after another, because there is one writer.
func (s *Store) Expire(
	ctx context.Context, age time.Duration, limit int, end func(job.Job) job.Event,
) ([]job.Job, error) {
	watermark, err := s.Watermark(ctx)
	if err != nil || watermark.IsZero() {
		return nil, err
	}
	before, _, err := s.change(ctx, "end the overdue jobs", end, func(ctx context.Context, queries *query.Queries) ([]query.Job, error) {
		return queries.ListOverdue(ctx, query.ListOverdueParams{FirstSeenBefore: watermark.Add(-age).UnixMicro(), MaxRows: int64(limit)})
	})
	return before, err
}

// change applies an event to each of the jobs whose rows list returns, in one transaction, and returns the jobs before and after.
func (s *Store) change(
	ctx context.Context, what string, next func(job.Job) job.Event, list func(context.Context, *query.Queries) ([]query.Job, error),
) (before, after []job.Job, err error) {
	err = s.write(ctx, sqlite.Relaxed, func(ctx context.Context, queries *query.Queries) (*fold.Batch, error) {
		rows, err := list(ctx, queries)
		if err != nil {
			return nil, fmt.Errorf("read the jobs: %w", err)
		}
		if before, err = fromRows(rows); err != nil {
			return nil, err
		}
		batch := fold.New(before)
		for _, j := range before {
			batch.Apply(next(j))
		}
		after = batch.All()
		return batch, nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", what, err)
	}
	return before, after, nil
}

// DeleteWithdrawn implements [jobstore.Store].
func (s *Store) DeleteWithdrawn(ctx context.Context, age time.Duration, limit int) (int, error) {
	watermark, err := s.Watermark(ctx)
	if err != nil || watermark.IsZero() {
		return 0, err
	}
	var deleted int64
	err = s.db.Write(ctx, sqlite.Relaxed, func(ctx context.Context, tx *sqlite.Tx) (err error) {
		deleted, err = query.New(tx).DeleteWithdrawn(ctx, query.DeleteWithdrawnParams{
			FirstSeenBefore: watermark.Add(-age).UnixMicro(), MaxRows: int64(limit),
		})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete withdrawn jobs: %w", err)
	}
	return int(deleted), nil
}

// write runs work in a transaction, writes the changed jobs of the batch that it returns, and notifies the audiences
// after the commit.
func (s *Store) write(
	ctx context.Context, durability sqlite.Durability, work func(context.Context, *query.Queries) (*fold.Batch, error),
) error {
	if err := s.ready(); err != nil {
		return err
	}
	err := s.db.Write(ctx, durability, func(ctx context.Context, tx *sqlite.Tx) error {
		queries := query.New(tx)
		batch, err := work(ctx, queries)
		if err != nil {
			return err
		}
		if notable := batch.Notable(); len(notable) > 0 {
			tx.AfterCommit(func() {
				for _, audience := range s.audiences {
					audience.Wake(notable...)
				}
			})
		}
		if err := writeJobs(ctx, queries, batch.Changed()); err != nil {
			return err
		}
		caused := batch.Deliveries()
		if len(caused) > 0 {
			tx.AfterCommit(s.bell.Ring)
		}
		return enqueue(ctx, queries, caused)
	})
	if sqlite.Refused(err) {
		return fmt.Errorf("%w: %w", jobstore.ErrRefused, err)
	}
	return err
}

func writeJobs(ctx context.Context, queries *query.Queries, jobs []job.Job) error {
	now := time.Now().UnixMicro()
	for _, j := range jobs {
		row, err := toRow(j)
		if err != nil {
			return fmt.Errorf("write the job %s: %w", j.ID, err)
		}
		row.FirstSeenAt = now // of a new row
		if err := queries.WriteJob(ctx, row); err != nil {
			return fmt.Errorf("write the job %s: %w", j.ID, err)
		}
	}
	return nil
}
