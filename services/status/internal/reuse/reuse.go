// Package reuse answers a submission with the result of an earlier job that had the same document and options: the new job gets a
// copy of the result, and has succeeded at once. Afterwards, neither job depends on the other.
package reuse

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/platform/logging"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/internal/ending"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

const (
	// copyTimeout limits the search for a result and its copy, and recordTimeout also its recording. They are less than the gateway
	// waits.
	copyTimeout   = time.Second
	recordTimeout = 1500 * time.Millisecond
	// maxAge is the maximum age of a submission. The gateway of an older one has given up, and may have told its client that there is
	// no job. It allows for clocks that differ, and is less than the time after which an unknown job is certain not to appear.
	maxAge = time.Minute
	// maxSize is the size of a result in bytes above which it is not reused. Conversions are limited by the processors, copies only by the disk.
	maxSize = 16 << 20
	// maxCopies is how many results are copied at once.
	maxCopies = 16
	// cleanupTimeout limits the deletion of a copy that belongs to no job. The orphan sweep deletes what remains.
	cleanupTimeout = 5 * time.Second
)

// Reuse finds results and copies them. It is safe for concurrent use.
type Reuse struct {
	deps  Deps
	slots chan struct{}
}

// Deps are what a Reuse depends on.
type Deps struct {
	Jobs      jobstore.Store
	Clock     *clock.Clock
	Results   blob.Bucket
	Retention job.Retention
	Ends      *ending.Metrics
	Log       *zap.Logger
}

// New returns a Reuse.
func New(deps Deps) *Reuse { return &Reuse{deps: deps, slots: make(chan struct{}, maxCopies)} }

// ErrNone means that there is no result to reuse, and that the job was not recorded and will not be.
var ErrNone = errors.New("no result can be reused")

// Answer records the submission as a job that has succeeded, with a copy of an earlier result that one of the builds has made. If there is
// none, or if it cannot be copied soon, it returns ErrNone. After another error the job may have been recorded. The submission can be published
// in any case, because the first end of a job counts. Answer takes at most about 2 s, even if ctx does not end.
func (r *Reuse) Answer(ctx context.Context, command *conversionv1.ConvertRequested, builds [][]byte) error {
	event, err := job.Read(command)
	if err != nil {
		return err
	}
	submitted, ok := event.(job.Submitted)
	if !ok || submitted.Submission.CacheDigest == nil {
		return ErrNone
	}
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	end, err := r.copied(ctx, submitted, builds)
	if errors.Is(err, jobstore.ErrNotFound) {
		return ErrNone
	}
	if err != nil {
		r.deps.Log.Info("not reusing a result", logging.JobID(command.GetJobId()), logging.Trace(ctx), zap.Error(err))
		return fmt.Errorf("%w: %w", ErrNone, err)
	}
	submitted.RecordedAt = end.FinishedAt
	return r.record(ctx, submitted, end)
}

// Reasons why there is no result.
var (
	errLate  = errors.New("the submission is too old")
	errLarge = errors.New("the result is too large")
)

// copied copies an earlier result for the job, and returns the end of the job.
func (r *Reuse) copied(ctx context.Context, submitted job.Submitted, builds [][]byte) (job.Ended, error) {
	ctx, cancel := context.WithTimeout(ctx, copyTimeout)
	defer cancel()
	now, err := r.deps.Clock.Now(ctx)
	if err != nil {
		return job.Ended{}, err
	}
	if now.Sub(submitted.Submission.RequestedAt) > maxAge {
		return job.Ended{}, errLate
	}
	original, err := r.deps.Jobs.Reusable(ctx, submitted.Submission.CacheDigest, builds)
	if err != nil {
		return job.Ended{}, err
	}
	if original.Result.Size > maxSize {
		return job.Ended{}, errLarge
	}
	key, err := r.copy(ctx, submitted.Job(), original.Result.ObjectKey)
	if err != nil {
		return job.Ended{}, err
	}
	return r.deps.Retention.Keep(endOf(submitted, original, key, now), now), nil
}

// copy copies the result of the earlier job for the new one, when there is a slot.
func (r *Reuse) copy(ctx context.Context, id uuid.UUID, from string) (key string, err error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	key = id.String() + "/" + uuid.NewString() + path.Ext(from)
	if err := r.deps.Results.Copy(ctx, key, from); err != nil {
		if !errors.Is(err, blob.ErrNotFound) {
			r.remove(ctx, key)
		}
		return "", err
	}
	return key, nil
}

// endOf returns the end of the new job.
func endOf(submitted job.Submitted, original job.Job, key string, now time.Time) job.Ended {
	result, report := *original.Result, job.Report{}
	result.ObjectKey = key
	if original.Report != nil {
		report = *original.Report
	}
	report.Seconds, report.Cached = job.Seconds{}, true
	return job.Ended{
		ID: submitted.ID, SubmissionID: submitted.SubmissionID, Status: job.Succeeded, FinishedAt: now,
		Result: &result, Warnings: original.Warnings, Report: &report,
	}
}

// record records the submission and its end in one transaction.
func (r *Reuse) record(ctx context.Context, submitted job.Submitted, end job.Ended) error {
	outcomes, err := r.deps.Jobs.Apply(ctx, []job.Event{submitted, end})
	if err != nil {
		return err // the copy is kept: the job may have it
	}
	if err := errors.Join(outcomes[0].Refused, outcomes[1].Refused); err != nil || !outcomes[1].Changed {
		r.remove(ctx, end.Result.ObjectKey)
		return errors.Join(ErrNone, err)
	}
	r.deps.Ends.Count("", submitted.Submission.RequestedAt)
	return nil
}

// remove deletes a copy.
func (r *Reuse) remove(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := r.deps.Results.Delete(ctx, key); err != nil {
		r.deps.Log.Warn("a copy of a result that belongs to no job may remain in the store", zap.String("object_key", key), logging.Trace(ctx), zap.Error(err))
	}
}
