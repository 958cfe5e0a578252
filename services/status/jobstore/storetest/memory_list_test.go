package storetest_test

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

func (s *memoryStore) List(ctx context.Context, selection jobstore.Selection) ([]job.Job, error) {
	if err := s.Check(ctx); err != nil {
		return nil, err
	}
	bugs := s.d.bugs
	from, before := selection.Range()
	var listed []job.Job
	for _, r := range s.ordered() {
		begins := bytes.Compare(r.job.ID[:], from[:])
		ends := bytes.Compare(r.job.ID[:], before[:])
		if bugs[listAfterExclusive] && bytes.HasPrefix(r.job.ID[:], from[:6]) {
			begins = -1
		}
		again := bugs[listRepeats] && r.job.ID == selection.Before ||
			bugs[listBeforeInclusive] && bytes.HasPrefix(r.job.ID[:], before[:6]) && selection.Before == uuid.Nil
		inRange := begins >= 0 && (ends < 0 || again)
		if s.d.lists(r.job) && (inRange || bugs[listByOffset]) && s.d.matches(r.job, selection.Filter) {
			listed = append(listed, r.job)
		}
	}
	if bugs[listByOffset] {
		listed = s.skip(listed, selection)
	}
	if !bugs[listWithoutLimit] {
		listed = listed[:min(len(listed), selection.Limit)]
	}
	if !bugs[listWithReports] {
		for i := range listed {
			listed[i].Report = nil
		}
	}
	return listed, nil
}

// ordered returns the records in the order of a list.
func (s *memoryStore) ordered() []record {
	return slices.SortedFunc(maps.Values(s.d.snapshot()), func(a, b record) int {
		order := bytes.Compare(b.job.ID[:], a.job.ID[:])
		switch {
		case s.d.bugs[listOldestFirst]:
			return -order
		case s.d.bugs[listByInsertion]:
			return b.firstSeen.Compare(a.firstSeen)
		default:
			return order
		}
	})
}

// lists reports whether a job is visible in lists.
func (d *memoryDatabase) lists(j job.Job) bool {
	switch {
	case j.Submission == nil:
		return d.bugs[listPlaceholders]
	case j.Withdrawn:
		return d.bugs[listWithdrawn]
	case j.Gone != "":
		return d.bugs[listGone]
	default:
		return true
	}
}

func (d *memoryDatabase) matches(j job.Job, filter jobstore.Filter) bool {
	wanted := filter.Wanted()
	if d.bugs[listOneStatus] && len(filter.Statuses) > 0 {
		wanted = wanted[:1]
	}
	tag := ""
	if j.Submission != nil {
		tag = j.Submission.Tag
	}
	tagged := tag == filter.Tag || filter.Tag == "" || d.bugs[listAnyTag] || d.bugs[listTagPrefix] && strings.HasPrefix(tag, filter.Tag) ||
		d.bugs[listPlaceholders]
	for _, other := range j.Others {
		tagged = tagged || d.bugs[listOtherTags] && other.Submission != nil && other.Submission.Tag == filter.Tag
	}
	return tagged && (slices.Contains(wanted, j.Status) || d.bugs[listAnyStatus])
}

// skip leaves out as many jobs as the pages before had.
func (s *memoryStore) skip(jobs []job.Job, selection jobstore.Selection) []job.Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	if selection.Before == uuid.Nil {
		s.listed = 0
	}
	rest := jobs[min(s.listed, len(jobs)):]
	s.listed += min(selection.Limit, len(rest))
	return rest
}

func (s *memoryStore) Stats(ctx context.Context, waits int) (jobstore.Stats, error) {
	if err := s.Check(ctx); err != nil {
		return jobstore.Stats{}, err
	}
	bugs, stats := s.d.bugs, jobstore.Stats{Jobs: map[job.Status]int64{}}
	for _, r := range s.ordered() {
		if !r.job.Visible() || r.job.Gone != "" {
			if bugs[statsHidden] {
				stats.Jobs[r.job.Status]++
			}
			continue
		}
		stats.Jobs[r.job.Status]++
		started := !r.job.StartedAt.IsZero() && r.job.Status != job.Queued
		if !started && !bugs[statsUnstarted] {
			continue
		}
		wait := jobstore.Wait(r.job.Submission.RequestedAt, r.job.StartedAt)
		if bugs[statsNegative] {
			wait = r.job.StartedAt.Sub(r.job.Submission.RequestedAt)
		}
		stats.Waits = append(stats.Waits, wait)
	}
	if bugs[statsOldest] {
		slices.Reverse(stats.Waits)
	}
	stats.Waits = stats.Waits[:min(len(stats.Waits), waits)]
	return stats, nil
}

func (s *memoryStore) Reusable(ctx context.Context, digest []byte, builds [][]byte) (job.Job, error) {
	if err := s.Check(ctx); err != nil {
		return job.Job{}, err
	}
	bugs := s.d.bugs
	var latest job.Job
	for _, r := range s.d.snapshot() {
		j := r.job
		switch {
		case !j.Visible() || j.Status != job.Succeeded || len(j.Submission.CacheDigest) == 0:
		case !bytes.Equal(j.Submission.CacheDigest, digest) && !bugs[reuseAnyDigest]:
		case !slices.ContainsFunc(builds, func(b []byte) bool { return bytes.Equal(b, j.Build) }) && !bugs[reuseAnyBuild]:
		case !j.ExpiresAt.After(time.Now()) && !bugs[reuseExpired]:
		case j.ExpiresAt.After(latest.ExpiresAt) != bugs[reuseFirstExpiring] || latest.ID == uuid.Nil:
			latest = j
		}
	}
	if latest.ID == uuid.Nil {
		return job.Job{}, jobstore.ErrNotFound
	}
	return latest, nil
}
