package fold

import (
	"cmp"
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/contract/jobapi"
)

// Event is something that happened to a job: [Submitted], [Moved] or [Ended].
type Event interface {
	// Job is the job's id.
	Job() uuid.UUID
	// apply changes j and tells whether there was anything to change.
	apply(j *Job) bool
}

// Change is what an event did to a job.
type Change struct {
	// Any is set when something changed, and with it the version.
	Any bool
	// State is set when it was more than progress: waiters want to know at once.
	State bool
}

// Apply gives the job as it is after the event.
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

// JobID is the job that an event belongs to.
type JobID uuid.UUID

// Job gives the id.
func (id JobID) Job() uuid.UUID { return uuid.UUID(id) }

// Submitted says that a job was accepted. It may come after any other event of the job.
type Submitted struct {
	JobID

	Submission Submission
}

func (e Submitted) apply(j *Job) bool {
	if j.Submission != nil {
		return false
	}
	j.Submission = &e.Submission
	return true
}

// Moved says where an unfinished attempt stands: it began, it progressed, or it failed and the job waits for the next one.
type Moved struct {
	JobID

	Attempt int32
	// At orders the moves of one attempt. An attempt whose worker died runs again under the same number, and starts from
	// the beginning; so the later move counts, not the one that is further on.
	At time.Time
	// Begins is set when At is the moment in which the attempt began.
	Begins bool
	// Status is jobapi.Running, or jobapi.Queued when the job waits for its next attempt.
	Status  jobapi.Status
	Phase   Phase
	Percent int32
}

// apply takes the maximum of what is known and e in a total order, which makes the order and number of calls immaterial.
func (e Moved) apply(j *Job) bool {
	if j.Status.Terminal() || e.Attempt < j.Attempt {
		return false
	}
	newer := e.compare(*j) > 0
	if e.Attempt > j.Attempt {
		j.StartedAt = time.Time{} // that was another attempt's
	}
	began := e.Begins && e.At.After(j.StartedAt)
	if began {
		j.StartedAt = e.At
	}
	if newer {
		j.Attempt, j.MovedAt, j.Status, j.Phase, j.Percent = e.Attempt, e.At, e.Status, e.Phase, e.Percent
	}
	return newer || began
}

// compare orders e against the move that j has come to. Two that are equal in it say the same.
func (e Moved) compare(j Job) int {
	return cmp.Or(
		cmp.Compare(e.Attempt, j.Attempt),
		e.At.Compare(j.MovedAt),
		cmp.Compare(rank(e.Status), rank(j.Status)),
		cmp.Compare(e.Phase, j.Phase),
		cmp.Compare(e.Percent, j.Percent),
	)
}

// rank puts the end of an attempt after its running.
func rank(s jobapi.Status) int {
	if s == jobapi.Running {
		return 0
	}
	return 1
}

// Ended says that the job has ended. The first end counts, whichever attempt it is of.
type Ended struct {
	JobID

	// Attempt is the one that ended the job; 0 when the end does not come from an attempt.
	Attempt int32
	// StartedAt is when that attempt began; zero when that is not known.
	StartedAt  time.Time
	FinishedAt time.Time
	// Result and Warnings belong to a success. Exactly one of Result and Failure is set.
	Result   *Result
	Warnings []Warning
	Failure  *Failure
	// Report may be nil.
	Report *jobapi.Report
}

func (e Ended) apply(j *Job) bool {
	if j.Status.Terminal() {
		return false
	}
	j.Status = jobapi.Succeeded
	if e.Failure != nil {
		j.Status = jobapi.Failed
	}
	if e.Attempt > 0 {
		j.Attempt = e.Attempt
	}
	if !e.StartedAt.IsZero() {
		j.StartedAt = e.StartedAt
	}
	j.FinishedAt, j.Result, j.Warnings, j.Failure, j.Report = e.FinishedAt, e.Result, e.Warnings, e.Failure, e.Report
	j.MovedAt, j.Phase, j.Percent = time.Time{}, NoPhase, 0
	return true
}
