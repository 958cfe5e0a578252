// Package lifecycle defines which histories of a job are legal, as clients see them. docs/lifecycle.md describes the
// model. Tests of the services and the harness of `make chaos` check the histories that they observe.
package lifecycle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/docmill/docmill/contract/jobapi"
)

// next returns the states in which a client may see a job after the given one. Clients do not see every state: a short
// conversion may end before the next poll.
func next(status jobapi.Status) []jobapi.Status {
	switch status {
	case jobapi.Queued, jobapi.Running:
		return []jobapi.Status{jobapi.Queued, jobapi.Running, jobapi.Succeeded, jobapi.Failed, jobapi.Canceled}
	default:
		return nil // final
	}
}

// History checks what one client sees of one job. The zero value is ready to use. It is not safe for concurrent use.
type History struct {
	last jobapi.Job
	seen bool
}

// See adds the next view of the job. The error names everything that is illegal about the view, or about the step from
// the previous one.
func (h *History) See(job jobapi.Job) error {
	errs := []error{view(job)}
	if h.seen {
		errs = append(errs, Step(h.last, job))
	}
	h.last, h.seen = job, true
	return errors.Join(errs...)
}

// Last returns the last view, and false if there was none.
func (h *History) Last() (jobapi.Job, bool) { return h.last, h.seen }

// Step checks that a client that has seen the job as before may see it as after. They may be equal.
func Step(before, after jobapi.Job) error {
	var errs []error
	illegal := func(format string, arguments ...any) { errs = append(errs, fmt.Errorf(format, arguments...)) }
	if before.ExpiresAt == nil {
		after.ExpiresAt = nil // the job was recorded by a release that had no such time
	}
	if !equal(submissionOf(before), submissionOf(after)) {
		illegal("the submission has changed")
	}
	if after.Attempt < before.Attempt {
		illegal("the attempt went back from %d to %d", before.Attempt, after.Attempt)
	}
	switch {
	case after.Generation < before.Generation:
		illegal("the generation went back from %d to %d", before.Generation, after.Generation)
	case after.Generation > before.Generation: // the client has retried the job
		if before.Status == jobapi.Succeeded {
			illegal("a job that has succeeded was retried")
		}
	case before.Status.Terminal():
		if !equal(before, after) {
			illegal("the job has changed after its end, from %s to %s", before.Status, after.Status)
		}
	case !slices.Contains(next(before.Status), after.Status):
		illegal("%s is followed by %s", before.Status, after.Status)
	}
	return errors.Join(errs...)
}

// submissionOf returns the members of the job that never change.
func submissionOf(j jobapi.Job) jobapi.Job {
	return jobapi.Job{ID: j.ID, CreatedAt: j.CreatedAt, Source: j.Source, Target: j.Target, Tag: j.Tag}
}

// equal compares what clients receive.
func equal(a, b jobapi.Job) bool {
	one, err := json.Marshal(a)
	if err != nil {
		return false
	}
	other, err := json.Marshal(b)
	return err == nil && bytes.Equal(one, other)
}

// view checks that the members of the job fit its state.
func view(j jobapi.Job) error {
	var errs []error
	require := func(ok bool, what string) {
		if !ok {
			errs = append(errs, fmt.Errorf("a %s job %s", j.Status, what))
		}
	}
	ended := j.Status.Terminal()
	require(ended || slices.Contains([]jobapi.Status{jobapi.Queued, jobapi.Running}, j.Status), "does not exist")
	require((j.FinishedAt != nil) == ended, "has finished_at if and only if it has ended")
	require((j.Result != nil) == (j.Status == jobapi.Succeeded), "has a result if and only if it has succeeded")
	require((j.Links.Result != "") == (j.Status == jobapi.Succeeded), "links to a result if and only if it has succeeded")
	require((j.Error != nil) == (j.Status == jobapi.Failed), "has an error if and only if it has failed")
	require(j.Progress == nil || j.Status == jobapi.Running, "has progress only while it runs")
	require(j.LastError == nil || j.Status == jobapi.Queued && j.Attempt > 0, "has last_error only while it waits for its next attempt")
	require((j.LastError == nil) == (j.NextAttemptAt == nil), "has last_error and next_attempt_at together")
	cached := j.Report != nil && j.Report.Cached
	require(j.Attempt > 0 || j.Status != jobapi.Running && (j.Status != jobapi.Succeeded || cached), "has at least one attempt, unless its result is a copy")
	require(!cached || j.Status == jobapi.Succeeded, "has a copy of a result only if it has succeeded")
	return errors.Join(errs...)
}
