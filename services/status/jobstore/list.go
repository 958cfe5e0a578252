package jobstore

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/services/status/job"
)

// Selection selects a page of jobs: the newest ones that match the filter, in descending order of their ids. The id of a
// job begins with the time of its submission.
type Selection struct {
	Filter

	// Before continues a page: only jobs with smaller ids are selected. uuid.Nil selects from the newest job on.
	Before uuid.UUID
	// Limit is the maximum number of jobs, at least 1.
	Limit int
}

// Filter restricts a selection. Its zero value matches all visible jobs. Placeholders, withdrawn jobs
// and tombstones never match.
type Filter struct {
	// Statuses match jobs that have one of them. If there are none, any status matches.
	Statuses []job.Status
	// Tag matches jobs with this tag, unless it is empty.
	Tag string
	// CreatedAfter and CreatedBefore match jobs that were submitted at this time or later, and before this time. They are
	// compared with the time in the job's id, in whole milliseconds. Zero times match all.
	CreatedAfter, CreatedBefore time.Time
}

// Statuses returns all statuses of jobs that clients can see.
func Statuses() []job.Status {
	return []job.Status{job.Queued, job.Running, job.Succeeded, job.Failed, job.Canceled}
}

// Started returns the statuses of jobs that an attempt may have started for.
func Started() []job.Status {
	return []job.Status{job.Running, job.Succeeded, job.Failed, job.Canceled}
}

// Wanted returns the statuses that match the filter, each once. It is for implementations.
func (f Filter) Wanted() []job.Status {
	all := Statuses()
	if len(f.Statuses) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(s job.Status) bool { return !slices.Contains(f.Statuses, s) })
}

// Range returns the ids that the selection is restricted to: from is included, and before is not. It is for implementations.
func (s Selection) Range() (from, before uuid.UUID) {
	before = uuid.Max
	if !s.CreatedAfter.IsZero() {
		from = firstIDAt(s.CreatedAfter)
	}
	if !s.CreatedBefore.IsZero() {
		before = firstIDAt(s.CreatedBefore)
	}
	if s.Before != uuid.Nil && bytes.Compare(s.Before[:], before[:]) < 0 {
		before = s.Before
	}
	return from, before
}

// firstIDAt returns the smallest id with the time t, in milliseconds (RFC 9562, section 5.7).
func firstIDAt(t time.Time) (id uuid.UUID) {
	const bits = 48
	milliseconds := min(max(t.UnixMilli(), 0), 1<<bits-1)
	binary.BigEndian.PutUint64(id[:], uint64(milliseconds)<<(64-bits))
	return id
}

// Stats summarizes the visible jobs.
type Stats struct {
	// Jobs are the numbers of jobs by status.
	Jobs map[job.Status]int64
	// Waits are how long jobs waited, from their submission to the start of their last attempt: those of the newest jobs whose
	// attempt has started, newest first. Different clocks of the gateways and converters make them inexact.
	Waits []time.Duration
}

// Wait returns how long a job waited that was submitted and started at these times. It is for implementations.
func Wait(requested, started time.Time) time.Duration { return max(started.Sub(requested), 0) }
