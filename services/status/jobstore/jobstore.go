// Package jobstore defines how the status service stores jobs: a [Store] folds events into jobs, returns single jobs,
// ends jobs that exceed their deadline, and reports changes.
//
// Package postgres implements it for the three services, package sqlite for the single-process edition. Every
// implementation must pass the conformance suite in package storetest.
package jobstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/services/status/job"
)

var (
	// ErrNotFound means that no job has this id, that its submission is not known yet, or that it was withdrawn.
	ErrNotFound = errors.New("no such job")
	// ErrGone means that the job was deleted or has expired. The job that is returned with it says which.
	ErrGone = errors.New("the job is gone")
	// ErrPlaceholder is the ErrNotFound for a job of which events are known, but not the submission, which may still
	// arrive.
	ErrPlaceholder = fmt.Errorf("%w yet: its submission is not known", ErrNotFound)
	// ErrNotReady means that the store cannot work yet, for example because its database does not answer or does not have
	// this program's schema yet.
	ErrNotReady = errors.New("the job store is not ready")
	// ErrRefused means that the store works but can never take the data.
	ErrRefused = errors.New("the job store refuses the data")
)

// Store keeps jobs. It is safe for concurrent use. Any number of replicas may use the same database at the same time,
// if the database allows that.
//
// A method whose context ends returns an error that is neither ErrNotFound nor ErrRefused.
type Store interface { //nolint:interfacebloat // a store does all of it in one database
	// Notify registers an audience for the changes that any replica makes. It must be called before Run.
	Notify(audience Audience)
	// Run makes the store ready, and keeps it open until drain is closed. It calls ready once, even if the database does
	// not answer yet; until that answers, and after Run has returned, the other methods return an error, which is an
	// ErrNotReady before the store was ready. Run is called once; it is a component of package host.
	Run(ctx context.Context, ready func(), drain <-chan struct{}) error
	// Check returns nil if the store can work now.
	Check(ctx context.Context) error

	// Job returns one job, ErrNotFound for an unknown id and for a withdrawn job, ErrPlaceholder for a job without its
	// submission, or ErrGone for a tombstone.
	Job(ctx context.Context, id uuid.UUID) (job.Job, error)
	// OldestWaiting returns how long the oldest visible job that no attempt has begun for has waited since its submission; 0 if
	// there is none. Different clocks of the gateway and the database make it inexact.
	OldestWaiting(ctx context.Context) (time.Duration, error)
	// List returns the jobs of a selection, newest first, without their reports, which may be large. A job that is inserted or changed
	// between two pages neither moves nor repeats other jobs.
	List(ctx context.Context, selection Selection) ([]job.Job, error)
	// Stats counts all jobs, so it is slow if there are many. It returns at most waits of the Waits.
	Stats(ctx context.Context, waits int) (Stats, error)
	// Reusable returns a visible job that has succeeded, has this cache digest, and whose result one of the builds has made. Of
	// several jobs it returns the one that expires last. If there is none, or if all have expired by the database's clock, it
	// returns ErrNotFound.
	Reusable(ctx context.Context, digest []byte, builds [][]byte) (job.Job, error)
	// Apply folds the events, in this order, into their jobs, and returns one outcome per event. It is idempotent and
	// may be called concurrently for the same jobs; the result is the same as that of some sequence of the calls. If the
	// store refuses the data of an event, that is reported in its outcome, and all other events are applied. After an
	// error it is unknown which events were applied; the caller applies all of them again.
	Apply(ctx context.Context, events []job.Event) ([]Outcome, error)
	// Expire applies the event that end returns to at most limit of the jobs that have not ended, were not withdrawn, and
	// whose first event was applied longer than age before the watermark. Without a watermark there are none. It takes the
	// oldest first and returns the jobs as they were before. Concurrent calls end different jobs. end may be called more
	// than once for a job; it must not call the store.
	Expire(ctx context.Context, age time.Duration, limit int, end func(job.Job) job.Event) ([]job.Job, error)
	// DeleteWithdrawn deletes at most limit of the withdrawn jobs whose first event was applied longer than age before the
	// watermark, and returns their number. Nothing remains of such a job: an event that arrives later makes a new one.
	DeleteWithdrawn(ctx context.Context, age time.Duration, limit int) (int, error)

	Housekeeping

	// Now returns the time by the database's clock, in whole microseconds.
	Now(ctx context.Context) (time.Time, error)
	// Advance moves the watermark forward to a time that Now has returned. It moves the watermark back only if it is in the
	// future, because the clock was ahead when it was set.
	Advance(ctx context.Context, to time.Time) error
	// Watermark returns the time up to which all published events have been taken from the queue, and applied by the replica that
	// called Advance. It is zero if it is not known yet, and never later than Now. Expire and DeleteWithdrawn use it with the
	// same limits. Package watermark defines what may be concluded from it.
	Watermark(ctx context.Context) (time.Time, error)

	Deliveries
}

// Housekeeping is the part of a [Store] that deletes what has expired. Every method is safe to repeat.
type Housekeeping interface {
	// Due applies the event that next returns to at most limit of the jobs whose DueAt has passed by at least lag, by the database's
	// clock, and returns the jobs as they are then, those that have been due for longest first. The event must change DueAt,
	// otherwise the next call returns the job again. Concurrent calls return different jobs. next may be called more than once for a
	// job; it must not call the store.
	Due(ctx context.Context, lag time.Duration, limit int, next func(job.Job) job.Event) ([]job.Job, error)
	// DueRequests is like Due without a lag, but only for jobs whose client has made a request that is not carried out completely: the
	// command of a retry may not have been published, or the files of a deleted job still exist.
	DueRequests(ctx context.Context, limit int, next func(job.Job) job.Event) ([]job.Job, error)
	// Keep applies the event that next returns to at most limit of the ended jobs that have no time of expiry, because an earlier
	// release has ended them, and returns their number.
	Keep(ctx context.Context, limit int, next func(job.Job) job.Event) (int, error)
	// Forget deletes those of the jobs that are tombstones whose files were deleted, and returns their number. An event that arrives
	// later makes a new job.
	Forget(ctx context.Context, ids []uuid.UUID) (int, error)
	// Jobs returns those of the jobs that are stored, in any order: also placeholders, withdrawn jobs and tombstones.
	Jobs(ctx context.Context, ids []uuid.UUID) ([]job.Job, error)
	// Sources returns those of the keys that are the document of a stored job, in any order, except for tombstones whose files were
	// deleted.
	Sources(ctx context.Context, keys []string) ([]string, error)
	// Installation returns an id that identifies the database, so that files of another installation are not deleted. It is
	// uuid.Nil if the files cannot be those of another one.
	Installation(ctx context.Context) (uuid.UUID, error)
	// Observe stores that the housekeeping has looked at the database's clock, and returns what follows from that. If the clock is
	// ahead of the last observation of any replica by more than jump, there is a hold from now on. If it is behind by more than
	// jump, the hold ends if the clock is back, within jump, at the time that it would have without the jump forward.
	Observe(ctx context.Context, jump, hold time.Duration) (Observation, error)
	// Claim reports whether the caller is to do the named chore now. It returns true to one of all replicas per interval, by
	// the database's clock. A chore that its replica does not finish is done again after the interval.
	Claim(ctx context.Context, chore string, interval time.Duration) (bool, error)
}

// Visible returns what Job of [Store] returns for a stored job: ErrGone, ErrPlaceholder or ErrNotFound if clients cannot see it. An
// error of reading it is returned unchanged. It is for implementations.
func Visible(j job.Job, err error) (job.Job, error) {
	switch {
	case err != nil:
		return j, err
	case j.Gone != "":
		return j, ErrGone
	case j.Visible():
		return j, nil
	case j.Submission == nil && !j.Withdrawn:
		return j, ErrPlaceholder
	default:
		return j, ErrNotFound
	}
}

// LimitWatermark returns the stored watermark, or now if the stored one is in the future. It is for implementations.
func LimitWatermark(kept, now time.Time) time.Time {
	if kept.After(now) {
		return now
	}
	return kept
}

// Readable returns a check of whether jobs can be read from the store, even if it cannot be written.
func Readable(store Store) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := store.Now(ctx)
		return err
	}
}

// Outcome is the result of applying one event.
type Outcome struct {
	// Changed reports whether the event changed its job. Duplicates and late events do not.
	Changed bool
	// Refused is the reason why the event can never be applied, an ErrRefused; otherwise nil.
	Refused error
}

// Audience is notified of changes. Its methods must not block.
type Audience interface {
	// Wake reports visible jobs whose state has changed. The change is committed, so a read of the job returns it.
	// Changes of the progress alone are not reported.
	Wake(ids ...uuid.UUID)
	// WakeAll means that any number of changes may have been missed. It is also called once when notification begins.
	WakeAll()
}
