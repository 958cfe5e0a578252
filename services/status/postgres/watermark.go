package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/postgres/internal/query"
)

// Now implements [jobstore.Store].
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	if err := s.ready(); err != nil {
		return time.Time{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.readTimeout)
	defer cancel()
	now, err := query.New(s.pool).GetClock(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the clock: %w", err)
	}
	return now.UTC(), nil
}

// Advance implements [jobstore.Store].
func (s *Store) Advance(ctx context.Context, to time.Time) error {
	err := s.transact(ctx, func(ctx context.Context, queries *query.Queries) error {
		return queries.AdvanceWatermark(ctx, to)
	})
	if err != nil {
		return fmt.Errorf("advance the watermark: %w", err)
	}
	return nil
}

// Watermark implements [jobstore.Store].
func (s *Store) Watermark(ctx context.Context) (time.Time, error) {
	if err := s.ready(); err != nil {
		return time.Time{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.readTimeout)
	defer cancel()
	row, err := query.New(s.pool).GetWatermark(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the watermark: %w", err)
	}
	return jobstore.LimitWatermark(fromNullable(row.AppliedUntil), row.Now.UTC()), nil
}
