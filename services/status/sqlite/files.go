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

// Files returns the keys of the documents and results that a job refers to, or may refer to once its submission is
// known. The tables must be up to date; the store need not run.
func (s *Store) Files(ctx context.Context, id uuid.UUID) (sources, results []string, err error) {
	row, err := query.New(s.db.Reader()).GetJob(ctx, id[:])
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, nil
	}
	var j job.Job
	if err == nil {
		j, err = fromRow(row)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the files of job %s: %w", id, sqlite.Classify(err))
	}
	for _, record := range append(j.Others, j.Record) {
		if record.Submission != nil {
			sources = append(sources, record.Submission.ObjectKey)
		}
		if record.Result != nil {
			results = append(results, record.Result.ObjectKey)
		}
	}
	return sources, results, nil
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
