package job

import (
	"time"
)

// Retention is how long the files of ended jobs are kept.
type Retention struct {
	// Files is how long all files are kept. Source is how long the document is kept, which is at most that long.
	Files, Source time.Duration
	// Tombstone is how long a deleted or expired job is remembered, so that late events do not revive it.
	Tombstone time.Duration
}

// Keep returns the end of a job with the times at which its files expire. They count from now, by the clock that the housekeeping
// uses. FinishedAt comes from the clock of a converter, which may be wrong.
func (r Retention) Keep(end Ended, now time.Time) Ended {
	end.KeptFrom = now
	end.ExpiresAt, end.SourceExpiresAt = r.from(end.KeptFrom)
	return end
}

func (r Retention) from(t time.Time) (files, source time.Time) {
	return t.Add(r.Files), t.Add(min(r.Source, r.Files))
}

// Republish is how long after a retry its command is published again, if it may not have been published. A duplicate costs a
// conversion and does no other harm.
const Republish = 30 * time.Second

// keepUntil sets the times of expiry. The document does not outlive the other files.
func (r *Record) keepUntil(files, source time.Time) {
	r.ExpiresAt, r.SourceExpiresAt = files, earlier(source, files)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// forgetTarget removes the target, which only a retry needs, of a job that cannot be retried any more: it may contain sealed secrets.
func (r *Record) forgetTarget() {
	if r.Submission != nil && r.Submission.Target != nil {
		without := *r.Submission
		without.Target = nil
		r.Submission = &without
	}
}

// due returns DueAt.
func (j *Job) due() time.Time {
	switch {
	case j.Gone != "" && j.FilesDeleted:
		return j.ExpiresAt
	case j.Gone != "":
		return j.GoneAt
	case j.Status.Terminal() && !j.SourceDeleted:
		return j.SourceExpiresAt
	case j.Status.Terminal():
		return j.ExpiresAt
	case j.Unpublished:
		return j.UpdatedAt.Add(Republish)
	default:
		return time.Time{}
	}
}

// MaxGenerations is how often a job can be retried. It is limited because retries need no upload, and their queue has no limit.
const MaxGenerations = 20

// Retryable reports whether the client can retry the job at this time: it has failed or was canceled, its document still exists, and
// it was not retried too often.
func (j *Job) Retryable(at time.Time) bool {
	return j.Gone == "" && j.Generation < MaxGenerations && j.Visible() && (j.Status == Failed || j.Status == Canceled) && j.Submission.Target != nil &&
		!j.SourceDeleted && at.Before(j.SourceExpiresAt)
}

// Retried begins the next generation of a job that can be retried. Its command has to be published after that.
type Retried struct {
	ID

	At time.Time
}

func (e Retried) apply(j *Job) bool {
	if !j.Retryable(e.At) {
		return false
	}
	j.begin(j.Generation + 1)
	j.UpdatedAt, j.Unpublished = e.At, true
	return true
}

// begin resets the record to the start of a generation.
func (r *Record) begin(generation int32) {
	*r = Record{
		SubmissionID: r.SubmissionID, Generation: generation, Submission: r.Submission, Status: Queued,
		Attempt: r.Attempt, // clients never see it go back
	}
}

// reach reports whether an event of this generation counts. A generation that is not known yet, because a failover of the
// database has lost the retry, begins with its first event.
func (r *Record) reach(generation int32) bool {
	if generation > r.Generation {
		r.begin(generation)
	}
	return generation == r.Generation
}

// Published means that the command of a generation was published.
type Published struct {
	ID

	Generation int32
}

func (e Published) apply(j *Job) bool {
	if !j.Unpublished || j.Generation != e.Generation {
		return false
	}
	j.Unpublished = false
	return true
}

// Removed turns a job into a tombstone.
type Removed struct {
	ID

	Reason Gone
	At     time.Time
	// Until is when the tombstone is deleted.
	Until time.Time
}

func (e Removed) apply(j *Job) bool {
	// A job whose submission never arrived can only expire: clients do not know it.
	if j.Gone != "" || !j.Visible() && (e.Reason != Expired || !j.Status.Terminal()) {
		return false
	}
	left := Record{
		SubmissionID: j.SubmissionID, Generation: j.Generation, Status: j.Status, Attempt: j.Attempt, FinishedAt: j.FinishedAt,
		ExpiresAt: e.Until,
	}
	if s := j.Submission; s != nil {
		left.Submission = &Submission{RequestedAt: s.RequestedAt, ObjectKey: s.ObjectKey, ClaimKey: s.ClaimKey}
	}
	if !j.Status.Terminal() {
		left.Status, left.FinishedAt = Canceled, e.At
	}
	switch left.Status {
	case Succeeded:
		left.Result = &Result{ObjectKey: j.Result.ObjectKey}
	case Failed:
		left.Failure = &Failure{}
	default:
	}
	j.Record, j.Others = left, nil
	j.Gone, j.GoneAt, j.Unpublished = e.Reason, e.At, false
	return true
}

// SourceRemoved means that the document of an ended job is being deleted, so the job cannot be retried any more. If the
// caller does not delete it, another replica does after the lease.
type SourceRemoved struct {
	ID

	LeasedUntil time.Time
}

func (e SourceRemoved) leasedUntil() time.Time { return e.LeasedUntil }

func (SourceRemoved) apply(j *Job) bool {
	if j.SourceDeleted || j.Gone != "" || !j.Status.Terminal() {
		return false
	}
	j.SourceDeleted = true
	j.forgetTarget()
	return true
}

// FilesRemoved means that the files of a tombstone were deleted.
type FilesRemoved struct{ ID }

func (FilesRemoved) apply(j *Job) bool {
	if j.Gone == "" || j.FilesDeleted {
		return false
	}
	j.FilesDeleted = true
	return true
}

// FilesLeft reports which files of a job may exist: those whose deletion is not recorded as done.
func (j *Job) FilesLeft() (document, result bool) {
	if j.Gone != "" {
		return !j.FilesDeleted, !j.FilesDeleted
	}
	settled := j.DueAt.Equal(j.due()) // otherwise the deletion of the document is due
	return !j.SourceDeleted || !settled, true
}

// Settled ends a lease, because its work is done.
type Settled struct{ ID }

func (Settled) apply(j *Job) bool { return !j.DueAt.Equal(j.due()) }

// Leased reserves the housekeeping of a job for one replica until a time. After that, another one does it.
type Leased struct {
	ID

	Until time.Time
}

func (e Leased) apply(j *Job) bool {
	return !j.DueAt.IsZero() && !j.DueAt.Equal(e.Until)
}

func (e Leased) leasedUntil() time.Time { return e.Until }

// Outlived turns an expired job into a tombstone, whose files the caller deletes. If it does not, another replica deletes them after
// the lease.
type Outlived struct {
	Removed

	LeasedUntil time.Time
}

func (e Outlived) leasedUntil() time.Time { return e.LeasedUntil }

// Kept sets the times of expiry of a job that ended under an earlier release, which did not set them. They count from At, so that an
// upgrade deletes nothing at once.
type Kept struct {
	ID

	At time.Time
	Retention
}

func (e Kept) apply(j *Job) bool {
	if j.Gone != "" || !j.Status.Terminal() || !j.ExpiresAt.IsZero() {
		return false
	}
	j.keepUntil(e.from(e.At))
	return true
}
