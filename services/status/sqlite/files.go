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

// Find returns a job, also if clients cannot see it, and false if it is not stored. The tables must be up to date; the store need not
// run.
func (s *Store) Find(ctx context.Context, id uuid.UUID) (job.Job, bool, error) {
	row, err := query.New(s.db.Reader()).GetJob(ctx, id[:])
	return found(row, err, "find the job "+id.String())
}

// FindBySource returns the job that has a document with this key, or had one. Otherwise it is like [Store.Find].
func (s *Store) FindBySource(ctx context.Context, key string) (job.Job, bool, error) {
	row, err := query.New(s.db.Reader()).GetJobOfSource(ctx, key)
	return found(row, err, "find the job of the document "+key)
}

func found(row query.Job, err error, what string) (job.Job, bool, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return job.Job{}, false, nil
	}
	var j job.Job
	if err == nil {
		j, err = fromRow(row)
	}
	if err != nil {
		return job.Job{}, false, fmt.Errorf("%s: %w", what, sqlite.Classify(err))
	}
	return j, true, nil
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
