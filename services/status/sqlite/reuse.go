package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/docmill/docmill/platform/sqlite"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/sqlite/internal/query"
)

// Reusable implements [jobstore.Store]. It reads once for each build; the single process has one.
func (s *Store) Reusable(ctx context.Context, digest []byte, builds [][]byte) (found job.Job, err error) {
	if err := s.ready(); err != nil {
		return job.Job{}, err
	}
	now := time.Now().UnixMicro()
	err = jobstore.ErrNotFound
	for _, build := range builds {
		row, failure := query.New(s.db.Reader()).GetReusable(ctx, query.GetReusableParams{CacheDigest: digest, Build: build, Now: &now})
		if errors.Is(failure, sql.ErrNoRows) {
			continue
		}
		if failure != nil {
			return job.Job{}, fmt.Errorf("look for a result: %w", sqlite.Classify(failure))
		}
		candidate, failure := jobstore.Visible(fromRow(row))
		if failure != nil {
			return job.Job{}, failure
		}
		if err != nil || candidate.ExpiresAt.After(found.ExpiresAt) {
			found, err = candidate, nil
		}
	}
	return found, err
}
