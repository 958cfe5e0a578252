package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/postgres/internal/query"
)

// statsTimeout limits the count of all jobs: 1,000,000 take about 0.1 s.
const statsTimeout = 6 * time.Second

// List implements [jobstore.Store]. The read is limited by the setting database-read-timeout.
func (s *Store) List(ctx context.Context, selection jobstore.Selection) ([]job.Job, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.readTimeout)
	defer cancel()
	rows, err := s.list(ctx, selection)
	if err != nil {
		return nil, fmt.Errorf("list the jobs: %w", err)
	}
	return fromRows(rows)
}

func (s *Store) list(ctx context.Context, selection jobstore.Selection) ([]query.Job, error) {
	from, before := selection.Range()
	statuses, limit := texts(selection.Wanted()), int32(selection.Limit)
	queries := query.New(s.pool)
	if selection.Tag != "" {
		return queries.ListTaggedJobs(ctx, query.ListTaggedJobsParams{
			Tag: selection.Tag, Statuses: statuses, FromID: from, BeforeID: before, MaxRows: limit,
		})
	}
	return queries.ListJobs(ctx, query.ListJobsParams{Statuses: statuses, FromID: from, BeforeID: before, MaxRows: limit})
}

// Stats implements [jobstore.Store].
func (s *Store) Stats(ctx context.Context, waits int) (jobstore.Stats, error) {
	if err := s.ready(); err != nil {
		return jobstore.Stats{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, statsTimeout)
	defer cancel()
	queries := query.New(s.pool)
	counts, err := queries.CountJobs(ctx)
	if err != nil {
		return jobstore.Stats{}, fmt.Errorf("count the jobs: %w", err)
	}
	times, err := queries.ListWaits(ctx, query.ListWaitsParams{Statuses: texts(jobstore.Started()), MaxRows: int32(waits)})
	if err != nil {
		return jobstore.Stats{}, fmt.Errorf("list the waiting times: %w", err)
	}
	stats := jobstore.Stats{Jobs: map[job.Status]int64{}}
	for _, count := range counts {
		stats.Jobs[count.Status] = count.Jobs
	}
	for _, t := range times {
		stats.Waits = append(stats.Waits, jobstore.Wait(fromNullable(t.RequestedAt), fromNullable(t.StartedAt)))
	}
	return stats, nil
}

func texts(statuses []job.Status) []string {
	list := make([]string, len(statuses))
	for i, status := range statuses {
		list[i] = string(status)
	}
	return list
}
