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
	"github.com/prometheus/client_golang/prometheus"
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
	// sourceRetention is the maximum time for which the document of a job with a copied result is kept. It is needed only if the gateway did
	// not receive the answer, and has published the command as well. A converter that no longer finds the document reports a failure, which
	// has no effect on the job.
	sourceRetention = time.Hour
	// cleanupTimeout limits the deletion of a copy that belongs to no job, and maxCleanups is how many are deleted at once. Package orphan
	// deletes what remains.
	cleanupTimeout = 5 * time.Second
	maxCleanups    = 16
)

// Reuse finds results and copies them. It is safe for concurrent use.
type Reuse struct {
	deps     Deps
	limits   limits
	recorder recorder
	cleanups slots
	requests *prometheus.CounterVec
	// See the constants of the same names.
	copyTimeout, recordTimeout time.Duration
}

// Deps are what a Reuse depends on.
type Deps struct {
	Jobs      jobstore.Store
	Clock     *clock.Clock
	Results   blob.Bucket
	Retention job.Retention
	// Uncertain is called with the end of a job that may have been recorded, or whose copy may yet appear. It must not block.
	Uncertain func(job.Ended)
	Ends      *ending.Metrics
	Log       *zap.Logger
	Metrics   prometheus.Registerer
}

// New returns a Reuse.
func New(deps Deps) *Reuse {
	deps.Retention.Source = min(deps.Retention.Source, sourceRetention)
	return &Reuse{
		deps: deps, limits: newLimits(), recorder: recorder{jobs: deps.Jobs}, cleanups: make(slots, maxCleanups),
		requests: newMetric(deps.Metrics), copyTimeout: copyTimeout, recordTimeout: recordTimeout,
	}
}

// ErrNone means that there is no result to reuse, and that the job was not recorded and will not be.
var ErrNone = errors.New("no result can be reused")

// Answer records the submission as a job that has succeeded, with a copy of an earlier result that one of the builds has made. If there is
// none, or if it cannot be copied soon, it returns ErrNone. After another error the job may have been recorded. The submission can be published
// in any case, because the first end of a job counts. Answer takes at most about 1.5 s, even if ctx does not end.
func (r *Reuse) Answer(ctx context.Context, command *conversionv1.ConvertRequested, builds [][]byte) error {
	event, err := job.Read(command)
	if err != nil {
		return err
	}
	submitted, ok := event.(job.Submitted)
	if !ok || submitted.Submission.CacheDigest == nil {
		return ErrNone
	}
	ctx, cancel := context.WithTimeout(ctx, r.recordTimeout)
	defer cancel()
	end, err := r.copied(ctx, submitted, builds)
	if err == nil {
		submitted.RecordedAt = end.FinishedAt
		err = r.record(ctx, submitted, end)
	} else {
		err = fmt.Errorf("%w: %w", ErrNone, err)
	}
	outcome := outcomeOf(err)
	r.requests.WithLabelValues(outcome).Inc()
	if outcome == failed {
		r.deps.Log.Info("not reusing a result", logging.JobID(command.GetJobId()), logging.Trace(ctx), zap.Error(err))
	}
	return err
}

// Reasons why there is no result.
var (
	errLate    = errors.New("the submission is too old")
	errLarge   = errors.New("the result is too large")
	errBusy    = errors.New("too many results are being reused")
	errLimited = errors.New("too many bytes were copied")
	// errWithdrawn means that the timeout ended before the job was recorded.
	errWithdrawn = errors.New("the job could not be recorded in time")
)

// copied copies an earlier result for the job, and returns the end of the job.
func (r *Reuse) copied(ctx context.Context, submitted job.Submitted, builds [][]byte) (job.Ended, error) {
	ctx, cancel := context.WithTimeout(ctx, r.copyTimeout)
	defer cancel()
	now, err := r.deps.Clock.Now(ctx)
	if err != nil {
		return job.Ended{}, err
	}
	if now.Sub(submitted.Submission.RequestedAt) > maxAge {
		return job.Ended{}, errLate
	}
	original, err := r.search(ctx, submitted.Submission.CacheDigest, builds)
	if err != nil {
		return job.Ended{}, err
	}
	if original.Result.Size > maxSize {
		return job.Ended{}, errLarge
	}
	key := submitted.Job().String() + "/" + uuid.NewString() + path.Ext(original.Result.ObjectKey)
	end := r.deps.Retention.Keep(endOf(submitted, original, key, now), now)
	return end, r.copy(ctx, end, original.Result.ObjectKey, submitted.Submission.Size)
}

// search returns a job whose result can be reused, or jobstore.ErrNotFound.
func (r *Reuse) search(ctx context.Context, digest []byte, builds [][]byte) (job.Job, error) {
	if err := r.limits.searches.take(ctx, patience); err != nil {
		return job.Job{}, err
	}
	defer r.limits.searches.free()
	return r.deps.Jobs.Reusable(ctx, digest, builds)
}

// copy copies an earlier result to the key of the end's result. document is the size of the document in bytes. copy returns when ctx is
// done, even if the store has not returned; the copy keeps its slot until then.
func (r *Reuse) copy(ctx context.Context, end job.Ended, from string, document int64) error {
	free, err := r.limits.take(ctx, end.Result.Size, document)
	if err != nil {
		return err
	}
	copied := make(chan error)
	go func() {
		err := r.deps.Results.Copy(ctx, end.Result.ObjectKey, from)
		free()
		r.settle(ctx, end, err)
		select {
		case copied <- err:
		case <-ctx.Done(): // nobody waits for the copy
			if err == nil {
				r.discard(ctx, end)
			}
		}
	}()
	select {
	case err := <-copied:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle cleans up after a copy that has failed with an error. The store may complete it later, unless it has refused it.
func (r *Reuse) settle(ctx context.Context, end job.Ended, err error) {
	if err == nil || errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrFull) {
		return
	}
	r.discard(ctx, end)
	r.deps.Uncertain(end)
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

// record records the submission and its end.
func (r *Reuse) record(ctx context.Context, submitted job.Submitted, end job.Ended) error {
	outcomes, err := r.recorder.record(ctx, submitted, end)
	switch {
	case errors.Is(err, errBusy), errors.Is(err, errWithdrawn):
		r.discard(ctx, end)
		return fmt.Errorf("%w: %w", ErrNone, err)
	case err != nil:
		r.deps.Uncertain(end) // the job may have the copy
		return err
	}
	if err := errors.Join(outcomes[0].Refused, outcomes[1].Refused); err != nil || !outcomes[1].Changed {
		r.discard(ctx, end)
		return errors.Join(ErrNone, err)
	}
	r.deps.Ends.Count("", submitted.Submission.RequestedAt)
	return nil
}

// discard deletes the copy of an end that was not recorded, in the background.
func (r *Reuse) discard(ctx context.Context, end job.Ended) {
	if !r.cleanups.tryTake() {
		r.deps.Uncertain(end)
		return
	}
	ctx = context.WithoutCancel(ctx)
	go func() {
		defer r.cleanups.free()
		ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
		defer cancel()
		if err := r.deps.Results.Delete(ctx, end.Result.ObjectKey); err != nil {
			r.deps.Uncertain(end)
			r.deps.Log.Warn("a copy of a result that belongs to no job may remain in the store",
				zap.String("object_key", end.Result.ObjectKey), logging.Trace(ctx), zap.Error(err))
		}
	}()
}
