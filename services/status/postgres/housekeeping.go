package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/postgres/internal/query"
)

// Due implements [jobstore.Housekeeping]. It skips jobs that another transaction has locked.
func (s *Store) Due(ctx context.Context, lag time.Duration, limit int, next func(job.Job) job.Event) ([]job.Job, error) {
	return s.due(ctx, next, func(ctx context.Context, queries *query.Queries) ([]query.Job, error) {
		return queries.LockDue(ctx, query.LockDueParams{Lag: lag, MaxRows: int32(limit)})
	})
}

// DueRequests implements [jobstore.Housekeeping]. It skips jobs that another transaction has locked.
func (s *Store) DueRequests(ctx context.Context, limit int, next func(job.Job) job.Event) ([]job.Job, error) {
	return s.due(ctx, next, func(ctx context.Context, queries *query.Queries) ([]query.Job, error) {
		return queries.LockDueRequests(ctx, int32(limit))
	})
}

func (s *Store) due(
	ctx context.Context, next func(job.Job) job.Event, lock func(context.Context, *query.Queries) ([]query.Job, error),
) ([]job.Job, error) {
	if !s.indexed.Load() {
		return nil, errNoIndexes
	}
	_, after, err := s.change(ctx, "take the due jobs", next, lock)
	return after, err
}

// Keep implements [jobstore.Housekeeping].
func (s *Store) Keep(ctx context.Context, limit int, next func(job.Job) job.Event) (int, error) {
	if !s.indexed.Load() {
		return 0, errNoIndexes
	}
	_, after, err := s.change(ctx, "give jobs their time of expiry", next, func(ctx context.Context, queries *query.Queries) ([]query.Job, error) {
		return queries.LockUnscheduled(ctx, int32(limit))
	})
	return len(after), err
}

// Forget implements [jobstore.Housekeeping].
func (s *Store) Forget(ctx context.Context, ids []uuid.UUID) (int, error) {
	var deleted int64
	err := s.transact(ctx, func(ctx context.Context, queries *query.Queries) (err error) {
		deleted, err = queries.DeleteTombstones(ctx, ids)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete tombstones: %w", err)
	}
	return int(deleted), nil
}

// Jobs implements [jobstore.Housekeeping].
func (s *Store) Jobs(ctx context.Context, ids []uuid.UUID) ([]job.Job, error) {
	var found []job.Job
	err := s.transact(ctx, func(ctx context.Context, queries *query.Queries) error {
		rows, err := queries.GetJobs(ctx, ids)
		if err != nil {
			return err
		}
		found, err = fromRows(rows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	return found, nil
}

// Sources implements [jobstore.Housekeeping].
func (s *Store) Sources(ctx context.Context, keys []string) ([]string, error) {
	if !s.indexed.Load() {
		return nil, errNoIndexes
	}
	var found []string
	err := s.transact(ctx, func(ctx context.Context, queries *query.Queries) (err error) {
		found, err = queries.ListSourceKeys(ctx, keys)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for the jobs of documents: %w", err)
	}
	return found, nil
}

// Installation implements [jobstore.Housekeeping].
func (s *Store) Installation(ctx context.Context) (id uuid.UUID, err error) {
	err = s.transact(ctx, func(ctx context.Context, queries *query.Queries) (err error) {
		id, err = queries.GetInstallation(ctx)
		return err
	})
	if err != nil {
		return uuid.Nil, fmt.Errorf("read the id of the installation: %w", err)
	}
	return id, nil
}

// Observe implements [jobstore.Housekeeping].
func (s *Store) Observe(ctx context.Context, jump, hold time.Duration) (seen jobstore.Observation, err error) {
	err = s.transact(ctx, func(ctx context.Context, queries *query.Queries) error {
		if err := queries.InsertObservedClock(ctx); err != nil {
			return err
		}
		row, err := queries.LockObservedClock(ctx)
		if err != nil {
			return err
		}
		last := jobstore.Observation{
			SeenAt: row.SeenAt.UTC(), HeldUntil: fromNullable(row.HeldUntil), JumpedAt: fromNullable(row.JumpedAt), Trusted: fromNullable(row.TrustedAt),
		}
		seen = last.Next(row.Now.UTC(), jump, hold)
		return queries.SetObservedClock(ctx, query.SetObservedClockParams{
			SeenAt: seen.SeenAt, HeldUntil: toNullable(seen.HeldUntil), JumpedAt: toNullable(seen.JumpedAt), TrustedAt: toNullable(seen.Trusted),
		})
	})
	if err != nil {
		return jobstore.Observation{}, fmt.Errorf("observe the clock: %w", err)
	}
	return seen, nil
}

// Claim implements [jobstore.Housekeeping].
func (s *Store) Claim(ctx context.Context, chore string, interval time.Duration) (bool, error) {
	var claimed int64
	err := s.transact(ctx, func(ctx context.Context, queries *query.Queries) (err error) {
		claimed, err = queries.ClaimChore(ctx, query.ClaimChoreParams{Name: chore, Every: interval})
		return err
	})
	if err != nil {
		return false, fmt.Errorf("claim the chore %s: %w", chore, err)
	}
	return claimed > 0, nil
}
