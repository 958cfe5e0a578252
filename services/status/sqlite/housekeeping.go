package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/platform/sqlite"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/sqlite/internal/query"
)

// Due implements [jobstore.Housekeeping].
func (s *Store) Due(ctx context.Context, lag time.Duration, limit int, next func(job.Job) job.Event) ([]job.Job, error) {
	_, after, err := s.change(ctx, "take the due jobs", next, func(ctx context.Context, queries *query.Queries) ([]query.Job, error) {
		return queries.ListDue(ctx, query.ListDueParams{Now: new(time.Now().Add(-lag).UnixMicro()), MaxRows: int64(limit)})
	})
	return after, err
}

// DueRequests implements [jobstore.Housekeeping].
func (s *Store) DueRequests(ctx context.Context, limit int, next func(job.Job) job.Event) ([]job.Job, error) {
	_, after, err := s.change(ctx, "take the due jobs", next, func(ctx context.Context, queries *query.Queries) ([]query.Job, error) {
		return queries.ListDueRequests(ctx, query.ListDueRequestsParams{Now: new(time.Now().UnixMicro()), MaxRows: int64(limit)})
	})
	return after, err
}

// Keep implements [jobstore.Housekeeping].
func (s *Store) Keep(ctx context.Context, limit int, next func(job.Job) job.Event) (int, error) {
	_, after, err := s.change(ctx, "give jobs their time of expiry", next, func(ctx context.Context, queries *query.Queries) ([]query.Job, error) {
		return queries.ListUnscheduled(ctx, int64(limit))
	})
	return len(after), err
}

// Forget implements [jobstore.Housekeeping].
func (s *Store) Forget(ctx context.Context, ids []uuid.UUID) (int, error) {
	if err := s.ready(); err != nil {
		return 0, err
	}
	var deleted int64
	err := s.db.Write(ctx, sqlite.Relaxed, func(ctx context.Context, tx *sqlite.Tx) error {
		deleted = 0
		for _, id := range ids {
			n, err := query.New(tx).DeleteTombstone(ctx, id[:])
			if err != nil {
				return err
			}
			deleted += n
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("delete tombstones: %w", err)
	}
	return int(deleted), nil
}

// Jobs implements [jobstore.Housekeeping].
func (s *Store) Jobs(ctx context.Context, ids []uuid.UUID) ([]job.Job, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	var rows []query.Job
	for _, id := range ids {
		row, err := query.New(s.db.Reader()).GetJob(ctx, id[:])
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("read jobs: %w", sqlite.Classify(err))
		}
		if err == nil {
			rows = append(rows, row)
		}
	}
	return fromRows(rows)
}

// Sources implements [jobstore.Housekeeping].
func (s *Store) Sources(ctx context.Context, keys []string) ([]string, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	var found []string
	for _, key := range keys {
		known, err := query.New(s.db.Reader()).HasSource(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("find the job of the document %s: %w", key, sqlite.Classify(err))
		}
		if known {
			found = append(found, key)
		}
	}
	return found, nil
}

// Installation implements [jobstore.Housekeeping]: the files are beside the database.
func (s *Store) Installation(context.Context) (uuid.UUID, error) { return uuid.Nil, s.ready() }

// Observe implements [jobstore.Housekeeping].
func (s *Store) Observe(ctx context.Context, jump, hold time.Duration) (seen jobstore.Observation, err error) {
	if err := s.ready(); err != nil {
		return jobstore.Observation{}, err
	}
	err = s.db.Write(ctx, sqlite.Relaxed, func(ctx context.Context, tx *sqlite.Tx) error {
		queries, now := query.New(tx), time.Now().UTC().Truncate(time.Microsecond)
		row, err := queries.GetObservedClock(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		var last jobstore.Observation
		if err == nil {
			last = jobstore.Observation{
				SeenAt: time.UnixMicro(row.SeenAt).UTC(), HeldUntil: fromMicroseconds(row.HeldUntil),
				JumpedAt: fromMicroseconds(row.JumpedAt), Trusted: fromMicroseconds(row.TrustedAt),
			}
		}
		seen = last.Next(now, jump, hold)
		return queries.SetObservedClock(ctx, query.SetObservedClockParams{
			SeenAt: seen.SeenAt.UnixMicro(), HeldUntil: toMicroseconds(seen.HeldUntil),
			JumpedAt: toMicroseconds(seen.JumpedAt), TrustedAt: toMicroseconds(seen.Trusted),
		})
	})
	if err != nil {
		return jobstore.Observation{}, fmt.Errorf("observe the clock: %w", err)
	}
	return seen, nil
}

// Claim implements [jobstore.Housekeeping]. There is only one process, which remembers its chores itself.
func (s *Store) Claim(_ context.Context, chore string, interval time.Duration) (bool, error) {
	if err := s.ready(); err != nil {
		return false, err
	}
	now := time.Now()
	s.choresMutex.Lock()
	defer s.choresMutex.Unlock()
	if s.chores[chore].After(now) {
		return false, nil
	}
	s.chores[chore] = now.Add(interval)
	return true, nil
}
