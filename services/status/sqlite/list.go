package sqlite

import (
	"context"
	"fmt"

	"github.com/docmill/docmill/platform/sqlite"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/sqlite/internal/query"
)

// List implements [jobstore.Store].
func (s *Store) List(ctx context.Context, selection jobstore.Selection) ([]job.Job, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	rows, err := s.list(ctx, selection)
	if err != nil {
		return nil, fmt.Errorf("list the jobs: %w", sqlite.Classify(err))
	}
	jobs := make([]job.Job, len(rows))
	for i, row := range rows {
		if jobs[i], err = fromRow(row); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

func (s *Store) list(ctx context.Context, selection jobstore.Selection) ([]query.Job, error) {
	from, before := selection.Range()
	statuses, limit := listed(selection.Wanted()), int64(selection.Limit)
	queries := query.New(s.db.Reader())
	if selection.Tag != "" {
		return queries.ListTaggedJobs(ctx, query.ListTaggedJobsParams{
			Tag: selection.Tag, FromID: from[:], BeforeID: before[:], MaxRows: limit,
			FirstStatus: statuses[0], SecondStatus: statuses[1], ThirdStatus: statuses[2], FourthStatus: statuses[3], FifthStatus: statuses[4],
		})
	}
	return queries.ListJobs(ctx, query.ListJobsParams{
		FromID: from[:], BeforeID: before[:], MaxRows: limit,
		FirstStatus: statuses[0], SecondStatus: statuses[1], ThirdStatus: statuses[2], FourthStatus: statuses[3], FifthStatus: statuses[4],
	})
}

// listed returns the parameters of the queries of lists: the statuses, and then one that no job has.
func listed(wanted []job.Status) (statuses [5]job.Status) {
	copy(statuses[:], wanted)
	return statuses
}

// Stats implements [jobstore.Store].
func (s *Store) Stats(ctx context.Context, waits int) (jobstore.Stats, error) {
	if err := s.ready(); err != nil {
		return jobstore.Stats{}, err
	}
	counts, err := query.New(s.db.Reader()).CountJobs(ctx)
	if err != nil {
		return jobstore.Stats{}, fmt.Errorf("count the jobs: %w", sqlite.Classify(err))
	}
	stats := jobstore.Stats{Jobs: map[job.Status]int64{}}
	for _, count := range counts {
		stats.Jobs[count.Status] = count.Jobs
	}
	newest := jobstore.Selection{Filter: jobstore.Filter{Statuses: jobstore.Started()}, Limit: waits}
	rows, err := s.list(ctx, newest)
	if err != nil {
		return jobstore.Stats{}, fmt.Errorf("list the waiting times: %w", sqlite.Classify(err))
	}
	for _, row := range rows {
		if row.StartedAt != nil {
			stats.Waits = append(stats.Waits, jobstore.Wait(fromMicroseconds(row.RequestedAt), fromMicroseconds(row.StartedAt)))
		}
	}
	return stats, nil
}
