// Package fold is the part that all job stores share: it applies a batch of events to the jobs that a transaction has
// read, and keeps track of what has to be written and reported.
package fold

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/docmill/docmill/services/status/delivery"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// Apply implements jobstore.Store's Apply. It calls together to apply all events in one transaction. If that fails with
// ErrRefused, it calls together once per job, and then once per event, so that a bad one does not affect the others.
func Apply(
	ctx context.Context, events []job.Event, together func(context.Context, []job.Event) ([]jobstore.Outcome, error),
) ([]jobstore.Outcome, error) {
	if len(events) == 0 {
		return nil, nil
	}
	outcomes, err := together(ctx, events)
	switch {
	case err == nil:
		return outcomes, nil
	case !errors.Is(err, jobstore.ErrRefused):
		return nil, err
	case len(events) == 1:
		return []jobstore.Outcome{{Refused: err}}, nil
	}
	outcomes = make([]jobstore.Outcome, 0, len(events))
	for rest := events; len(rest) > 0; {
		n := part(rest)
		if n == len(events) {
			n = 1
		}
		some, err := Apply(ctx, rest[:n], together)
		if err != nil {
			return nil, err
		}
		outcomes, rest = append(outcomes, some...), rest[n:]
	}
	return outcomes, nil
}

// part returns how many of the first events are of the same job. They stay together, such as the submission of a job with a copied result
// and its end.
func part(events []job.Event) int {
	n := 1
	for n < len(events) && events[n].Job() == events[0].Job() {
		n++
	}
	return n
}

// IDs returns the ids of the events' jobs, sorted and without duplicates.
func IDs(events []job.Event) []uuid.UUID {
	ids := make([]uuid.UUID, len(events))
	for i, event := range events {
		ids[i] = event.Job()
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

// Batch is the work of one transaction on the jobs that it has read and locked.
type Batch struct {
	entries []entry
	byID    map[uuid.UUID]int
	caused  []delivery.Delivery
}

// entry is one job and how it has changed so far.
type entry struct {
	job    job.Job
	change job.Change
}

// New returns a batch of jobs.
func New(jobs []job.Job) *Batch {
	b := &Batch{entries: make([]entry, len(jobs)), byID: make(map[uuid.UUID]int, len(jobs))}
	for i, j := range jobs {
		b.entries[i].job = j
		b.byID[j.ID] = i
	}
	return b
}

// Apply applies one event and reports whether it changed its job, which must be in the batch.
func (b *Batch) Apply(event job.Event) bool {
	e := &b.entries[b.byID[event.Job()]]
	after, change := job.Apply(e.job, event)
	if change.Any && (!delivery.Reports(e.job) || e.job.Generation != after.Generation) {
		if d, wanted := delivery.Of(after); wanted {
			b.caused = append(b.caused, d)
		}
	}
	e.job = after
	e.change.Any = e.change.Any || change.Any
	e.change.State = e.change.State || change.State
	return change.Any
}

// All returns all jobs as they are now, in the order of New.
func (b *Batch) All() []job.Job {
	jobs := make([]job.Job, len(b.entries))
	for i, e := range b.entries {
		jobs[i] = e.job
	}
	return jobs
}

// Changed returns the jobs that have changed, in the order of New.
func (b *Batch) Changed() []job.Job {
	var jobs []job.Job
	for _, e := range b.entries {
		if e.change.Any {
			jobs = append(jobs, e.job)
		}
	}
	return jobs
}

// Deliveries returns the webhooks that the events cause, in their order. The store enqueues them in the transaction.
func (b *Batch) Deliveries() []delivery.Delivery { return b.caused }

// Notable returns the ids of the jobs whose changes an audience is notified of, in the order of New.
func (b *Batch) Notable() []uuid.UUID {
	var ids []uuid.UUID
	for _, e := range b.entries {
		if e.change.State && (e.job.Visible() || e.job.Gone != "") {
			ids = append(ids, e.job.ID)
		}
	}
	return ids
}
