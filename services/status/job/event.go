package job

import (
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/contract/problem"
)

// Event is something that happened to a job: [Submitted], [Withdrawn], [AttemptUpdated] or [Ended], or what the status service
// itself has decided: [Retried], [Published], [Removed], [Outlived], [FilesRemoved], [SourceRemoved], [Settled], [Leased] or [Kept].
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
	if j.Status != Queued {
		j.Unpublished = false // its command was published
	}
	j.DueAt = j.due()
	if lease, leased := e.(interface{ leasedUntil() time.Time }); leased && !lease.leasedUntil().IsZero() {
		j.DueAt = lease.leasedUntil()
	}
	j.Version++
	return j, Change{
		Any: true,
		State: j.Status != before.Status || j.Attempt != before.Attempt || j.Visible() != before.Visible() ||
			j.SubmissionID != before.SubmissionID || j.Retry != before.Retry || j.Generation != before.Generation || j.Gone != before.Gone,
	}
}

// ID is the id of the job that an event belongs to. Events embed it.
type ID uuid.UUID

// Job returns the id.
func (id ID) Job() uuid.UUID { return uuid.UUID(id) }

// change applies an event of a submission to the record of that submission, and reports whether there was anything to
// change. An event that names no submission changes all records.
func (j *Job) change(submission uuid.UUID, apply func(*Record) bool) bool {
	var changed bool
	switch {
	case j.Gone != "":
		return false
	case submission == uuid.Nil:
		changed = apply(&j.Record)
		j.Others = slices.Clone(j.Others)
		for i := range j.Others {
			changed = apply(&j.Others[i]) || changed
		}
	case submission == j.SubmissionID, j.SubmissionID == uuid.Nil:
		if changed = apply(&j.Record); changed {
			j.SubmissionID = submission
		}
	case j.final():
		return false // the result of another submission belongs to another document
	default:
		changed = j.changeOther(submission, apply)
	}
	j.choose()
	return changed
}

func (j *Job) changeOther(submission uuid.UUID, apply func(*Record) bool) bool {
	j.Others = slices.Clone(j.Others)
	i := slices.IndexFunc(j.Others, func(r Record) bool { return r.SubmissionID == submission })
	if i < 0 {
		i = len(j.Others)
		j.Others = append(j.Others, Record{SubmissionID: submission, Status: Queued})
	}
	return apply(&j.Others[i])
}

// choose makes the first attempted submission the job's. Until one is attempted, clients see the first one that was
// recorded. That one may never be attempted: perhaps only the queue of the events has received it, not that of the commands.
func (j *Job) choose() {
	if !j.final() {
		i := slices.IndexFunc(j.Others, Record.final)
		if i < 0 && !j.Visible() {
			i = slices.IndexFunc(j.Others, Record.Visible)
		}
		if i >= 0 {
			j.Others = slices.Clone(j.Others)
			j.Record, j.Others[i] = j.Others[i], j.Record
		}
	}
	if j.final() {
		j.Others = nil
	}
}

// Submitted means that a job was accepted. It may arrive after any other event of the job.
type Submitted struct {
	ID

	// SubmissionID is uuid.Nil if the gateway is older than the field.
	SubmissionID uuid.UUID
	Submission   Submission
	// RecordedAt is when the status service received it; zero if that is not known.
	RecordedAt time.Time
}

func (e Submitted) apply(j *Job) bool { return j.change(e.SubmissionID, e.record) }

func (e Submitted) record(r *Record) bool {
	if r.Submission != nil {
		return false
	}
	r.Submission = &e.Submission
	if r.Status == Succeeded {
		r.forgetTarget()
	}
	if !r.ExpiresAt.IsZero() && e.Submission.Retention > 0 { // it has ended already
		r.keepUntil(earlier(r.ExpiresAt, latest(e.RecordedAt, r.FinishedAt).Add(e.Submission.Retention)), r.SourceExpiresAt)
	}
	return true
}

// Withdrawn means that the submission was rejected, and that the client knows of no job. It may arrive before Submitted. If
// any other event of the job is known, its command is in the queue after all, and the job is not withdrawn.
type Withdrawn struct {
	ID

	SubmissionID uuid.UUID
}

func (e Withdrawn) apply(j *Job) bool { return j.change(e.SubmissionID, e.withdraw) }

func (Withdrawn) withdraw(r *Record) bool {
	if r.Withdrawn || r.Attempt > 0 || r.Status.Terminal() {
		return false
	}
	r.Withdrawn = true
	return true
}

// AttemptUpdated is the state of an unfinished attempt: it has started, it has progressed, or it has failed and the job
// waits for the next one.
type AttemptUpdated struct {
	ID

	// SubmissionID is uuid.Nil if the converter is older than the field.
	SubmissionID uuid.UUID
	Generation   int32
	Attempt      int32
	// At orders the updates of one attempt. An attempt that a stopping converter abandons is run again under the same
	// number, from the beginning; so the later update counts, not the one with more progress.
	At time.Time
	// Starts is set if At is the moment at which the attempt started.
	Starts bool
	// Status is Running, or Queued if the job waits for its next attempt.
	Status  Status
	Phase   Phase
	Percent int32
	// Retry is set if the job waits for its next attempt; nil if the converter did not report it.
	Retry *Retry
}

func (e AttemptUpdated) apply(j *Job) bool { return j.change(e.SubmissionID, e.advance) }

// advance takes the maximum of what is known and e in a total order. Therefore the order and number of calls do not
// matter.
func (e AttemptUpdated) advance(r *Record) bool {
	if !r.reach(e.Generation) || r.Status.Terminal() || e.Attempt < r.Attempt {
		return false
	}
	newer := e.compare(*r) > 0
	if e.Attempt > r.Attempt {
		r.StartedAt = time.Time{} // it belonged to an earlier attempt
	}
	started := e.Starts && e.At.After(r.StartedAt)
	if started {
		r.StartedAt = e.At
	}
	if newer {
		r.Attempt, r.UpdatedAt, r.Status, r.Phase, r.Percent = e.Attempt, e.At, e.Status, e.Phase, e.Percent
		r.Retry, r.Withdrawn = e.Retry, false
	}
	return newer || started
}

// compare orders e against the update that r has seen last. Two updates that compare as equal have the same contents.
func (e AttemptUpdated) compare(r Record) int {
	return cmp.Or(
		cmp.Compare(e.Attempt, r.Attempt),
		e.At.Compare(r.UpdatedAt),
		cmp.Compare(rank(e.Status != Running), rank(r.Status != Running)), // the end of an attempt is later than its start
		cmp.Compare(e.Phase, r.Phase),
		cmp.Compare(e.Percent, r.Percent),
		compareRetries(e.Retry, r.Retry),
	)
}

func compareRetries(a, b *Retry) int {
	if a == nil || b == nil {
		return cmp.Compare(rank(a != nil), rank(b != nil))
	}
	return cmp.Or(
		a.NextAttemptAt.Compare(b.NextAttemptAt),
		cmp.Compare(a.Failure.Code, b.Failure.Code),
		cmp.Compare(a.Failure.Detail, b.Failure.Detail),
		cmp.Compare(rank(a.Failure.Retryable), rank(b.Failure.Retryable)),
	)
}

// rank orders false before true.
func rank(set bool) int {
	if set {
		return 1
	}
	return 0
}

// Ended means that the job has ended. The first end counts, whichever attempt it belongs to. If a later attempt is known by
// then, the job keeps its number.
type Ended struct {
	ID

	// SubmissionID is uuid.Nil if the converter is older than the field, or if the end applies to any submission, as at the
	// deadline.
	SubmissionID uuid.UUID
	Generation   int32
	// Status is Succeeded, Failed or Canceled.
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
	// Build belongs to Succeeded; see Record.
	Build []byte
	// ExpiresAt and SourceExpiresAt are those of the job, unless its submission shortens them: then its retention counts from
	// KeptFrom.
	ExpiresAt, SourceExpiresAt, KeptFrom time.Time
}

// Fail returns the event with which the status service itself ends this generation of a job now, whichever submission it has.
func Fail(id uuid.UUID, generation, attempt int32, cause *problem.Error) Ended {
	failure := cause.Failure()
	return Ended{
		ID: ID(id), Generation: generation, Status: Failed, Attempt: attempt, FinishedAt: now(),
		Failure: &Failure{Code: string(failure.Code), Detail: failure.Detail, Retryable: failure.Retryable},
	}
}

// Cancel returns the event with which the client ends this generation of a job now.
func Cancel(id uuid.UUID, generation int32) Ended {
	return Ended{ID: ID(id), Generation: generation, Status: Canceled, FinishedAt: now()}
}

// now returns the present time in the precision that PostgreSQL stores.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func (e Ended) apply(j *Job) bool { return j.change(e.SubmissionID, e.end) }

func (e Ended) end(r *Record) bool {
	if !r.reach(e.Generation) || r.Status.Terminal() {
		return false
	}
	r.Status, r.Withdrawn = e.Status, false
	r.Attempt = max(r.Attempt, e.Attempt) // clients never see it go back
	if !e.StartedAt.IsZero() {
		r.StartedAt = e.StartedAt
	}
	r.FinishedAt, r.Result, r.Warnings, r.Failure, r.Report, r.Build = e.FinishedAt, e.Result, e.Warnings, e.Failure, e.Report, e.Build
	r.UpdatedAt, r.Phase, r.Percent, r.Retry = time.Time{}, NoPhase, 0, nil
	if r.Status == Succeeded {
		r.forgetTarget()
	}
	expires := e.ExpiresAt
	if r.Submission != nil && r.Submission.Retention > 0 && !expires.IsZero() {
		expires = earlier(expires, latest(e.KeptFrom, e.FinishedAt).Add(r.Submission.Retention))
	}
	r.keepUntil(expires, e.SourceExpiresAt)
	return true
}
