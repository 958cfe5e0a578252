package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"github.com/google/uuid"

	"github.com/docmill/docmill/platform/sqlite"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/sqlite/internal/query"
)

// Files returns the keys of the files that a job refers to: its source, and its result if it has succeeded. They are
// empty if there is no such job or file. The tables must be up to date; the store need not run.
func (s *Store) Files(ctx context.Context, id uuid.UUID) (source, result string, err error) {
	row, err := query.New(s.db.Reader()).GetFiles(ctx, id[:])
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", nil
	}
	if err != nil {
		return "", "", fmt.Errorf("read the files of job %s: %w", id, sqlite.Classify(err))
	}
	return row.SourceKey, row.ResultKey, nil
}

// HasSource reports whether a job refers to a document with this key. The tables must be up to date; the store need not run.
func (s *Store) HasSource(ctx context.Context, key string) (bool, error) {
	found, err := query.New(s.db.Reader()).HasSource(ctx, key)
	if err != nil {
		return false, fmt.Errorf("find the job of the document %s: %w", key, sqlite.Classify(err))
	}
	return found, nil
}

// pageOfJobs is how many jobs All reads at a time: a snapshot that stays open keeps the write-ahead log growing.
const pageOfJobs = 500

// All returns every job, placeholders included, in the order of the ids. The tables must be up to date; the store need
// not run.
func (s *Store) All(ctx context.Context) iter.Seq2[job.Job, error] {
	return func(yield func(job.Job, error) bool) {
		last := []byte{}
		for {
			rows, err := query.New(s.db.Reader()).ListJobsAfter(ctx, query.ListJobsAfterParams{ID: last, Limit: pageOfJobs})
			if err != nil {
				yield(job.Job{}, fmt.Errorf("list the jobs: %w", sqlite.Classify(err)))
				return
			}
			for _, row := range rows {
				j, err := fromRow(row)
				if !yield(j, err) {
					return
				}
			}
			if len(rows) < pageOfJobs {
				return
			}
			last = rows[len(rows)-1].ID
		}
	}
}
