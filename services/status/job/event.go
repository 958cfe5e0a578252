package job

import (
	"cmp"
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/contract/problem"
)

// Event is something that happened to a job: [Submitted], [Withdrawn], [AttemptUpdated] or [Ended].
type Event interface {
	// Job returns the job's id.
	Job() uuid.UUID
	// apply changes j and reports whether there was anything to change.
	apply(j *Job) bool
}

// Change is the effect of an event on a job.
type Change struct {
	// Any is set if something changed, and with it the version.
	Any bool
	// State is set if more than the progress changed: clients that wait for the job must be woken.
	State bool
}

// Apply returns the job after the event. If the event has no effect, it returns j.
func Apply(j Job, e Event) (Job, Change) {
	before := j
	if !e.apply(&j) {
		return before, Change{}
	}
	j.Version++
	return j, Change{
		Any:   true,
		State: j.Status != before.Status || j.Attempt != before.Attempt || j.Visible() != before.Visible(),
	}
}

// ID is the id of the job that an event belongs to. Events embed it.
type ID uuid.UUID

// Job returns the id.
func (id ID) Job() uuid.UUID { return uuid.UUID(id) }

// Submitted means that a job was accepted. It may arrive after any other event of the job.
type Submitted struct {
	ID

	Submission Submission
}

func (e Submitted) apply(j *Job) bool {
	if j.Submission != nil {
		return false
	}
	j.Submission = &e.Submission
	return true
}

// Withdrawn means that the submission was rejected, and that the client knows of no job. It may arrive before Submitted.
// A job of which any event other than Submitted is known has a command after all, and is not withdrawn.
type Withdrawn struct{ ID }

func (Withdrawn) apply(j *Job) bool {
	if j.Withdrawn || j.Attempt > 0 || j.Status.Terminal() {
		return false
	}
	j.Withdrawn = true
	return true
}

// AttemptUpdated is the state of an unfinished attempt: it has started, it has progressed, or it has failed and the job
// waits for the next one.
type AttemptUpdated struct {
	ID

	Attempt int32
	// At orders the updates of one attempt. An attempt whose worker died is run again under the same number, from the
	// beginning; so the later update counts, not the one with more progress.
	At time.Time
	// Starts is set if At is the moment at which the attempt started.
	Starts bool
	// Status is Running, or Queued if the job waits for its next attempt.
	Status  Status
	Phase   Phase
	Percent int32
}

// apply takes the maximum of what is known and e in a total order. Therefore the order and number of calls do not
// matter.
func (e AttemptUpdated) apply(j *Job) bool {
	if j.Status.Terminal() || e.Attempt < j.Attempt {
		return false
	}
	newer := e.compare(*j) > 0
	if e.Attempt > j.Attempt {
		j.StartedAt = time.Time{} // it belonged to an earlier attempt
	}
	started := e.Starts && e.At.After(j.StartedAt)
	if started {
		j.StartedAt = e.At
	}
	if newer {
		j.Attempt, j.UpdatedAt, j.Status, j.Phase, j.Percent = e.Attempt, e.At, e.Status, e.Phase, e.Percent
		j.Withdrawn = false
	}
	return newer || started
}

// compare orders e against the update that j has seen last. Two updates that compare as equal have the same contents.
func (e AttemptUpdated) compare(j Job) int {
	return cmp.Or(
		cmp.Compare(e.Attempt, j.Attempt),
		e.At.Compare(j.UpdatedAt),
		cmp.Compare(rank(e.Status), rank(j.Status)),
		cmp.Compare(e.Phase, j.Phase),
		cmp.Compare(e.Percent, j.Percent),
	)
}

// rank orders the end of an attempt after its run.
func rank(s Status) int {
	if s == Running {
		return 0
	}
	return 1
}

// Ended means that the job has ended. The first end counts, whichever attempt it belongs to. If a later attempt is known by
// then, the job keeps the number of that.
type Ended struct {
	ID

	// Status is Succeeded or Failed.
	Status Status
	// Attempt is the one that ended the job; 0 if the end does not come from an attempt.
	Attempt int32
	// StartedAt is when that attempt started; zero if that is not known.
	StartedAt  time.Time
	FinishedAt time.Time
	// Result and Warnings belong to Succeeded, Failure to Failed.
	Result   *Result
	Warnings []Warning
	Failure  *Failure
	// Report may be nil.
	Report *Report
}

// Fail returns the event with which the status service itself ends a job now.
func Fail(id uuid.UUID, attempt int32, cause *problem.Error) Ended {
	failure := cause.Failure()
	return Ended{
		ID: ID(id), Status: Failed, Attempt: attempt,
		FinishedAt: time.Now().UTC().Truncate(time.Microsecond), // what PostgreSQL stores
		Failure:    &Failure{Code: string(failure.Code), Detail: failure.Detail, Retryable: failure.Retryable},
	}
}

func (e Ended) apply(j *Job) bool {
	if j.Status.Terminal() {
		return false
	}
	j.Status, j.Withdrawn = e.Status, false
	j.Attempt = max(j.Attempt, e.Attempt) // clients never see it go back
	if !e.StartedAt.IsZero() {
		j.StartedAt = e.StartedAt
	}
	j.FinishedAt, j.Result, j.Warnings, j.Failure, j.Report = e.FinishedAt, e.Result, e.Warnings, e.Failure, e.Report
	j.UpdatedAt, j.Phase, j.Percent = time.Time{}, NoPhase, 0
	return true
}
