package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/postgres/internal/query"
)

// Reusable implements [jobstore.Store]. Without its index it would read the whole table, so until that exists it finds nothing.
func (s *Store) Reusable(ctx context.Context, digest []byte, builds [][]byte) (job.Job, error) {
	if err := s.ready(); err != nil {
		return job.Job{}, err
	}
	if !s.indexed.Load() {
		return job.Job{}, jobstore.ErrNotFound
	}
	ctx, cancel := context.WithTimeout(ctx, s.readTimeout)
	defer cancel()
	row, err := query.New(s.pool).GetReusable(ctx, query.GetReusableParams{CacheDigest: digest, Builds: builds})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return job.Job{}, jobstore.ErrNotFound
	case err != nil:
		return job.Job{}, fmt.Errorf("look for a result: %w", err)
	default:
		return jobstore.Visible(fromRow(row))
	}
}
