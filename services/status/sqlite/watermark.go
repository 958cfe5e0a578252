package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/docmill/docmill/platform/sqlite"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/sqlite/internal/query"
)

// Now implements [jobstore.Store]. The clock is that of the process.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	if err := s.ready(); err != nil {
		return time.Time{}, err
	}
	return time.Now().UTC().Truncate(time.Microsecond), ctx.Err()
}

// Advance implements [jobstore.Store].
func (s *Store) Advance(ctx context.Context, to time.Time) error {
	if err := s.ready(); err != nil {
		return err
	}
	err := s.db.Write(ctx, sqlite.Relaxed, func(ctx context.Context, tx *sqlite.Tx) error {
		queries := query.New(tx)
		if err := queries.DeleteWatermarkAfter(ctx, time.Now().UnixMicro()); err != nil {
			return err
		}
		return queries.AdvanceWatermark(ctx, to.UnixMicro())
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
	until, err := query.New(s.db.Reader()).GetWatermark(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the watermark: %w", sqlite.Classify(err))
	}
	return jobstore.LimitWatermark(fromMicroseconds(&until), time.Now().UTC().Truncate(time.Microsecond)), nil
}
