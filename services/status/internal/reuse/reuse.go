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

// Reuse finds results and copies them. It is safe for concurrent use.
type Reuse struct {
	Jobs      jobstore.Store
	Clock     *clock.Clock
	Results   blob.Bucket
	Retention job.Retention
	Ends      *ending.Metrics
	Log       *zap.Logger
}

// ErrNone means that there is no result to reuse, and that the job was not recorded.
var ErrNone = errors.New("no result can be reused")

// cleanupTimeout limits the deletion of a copy that belongs to no job. The orphan sweep deletes what remains.
const cleanupTimeout = 5 * time.Second

// Answer records the submission as a job that has succeeded, with a copy of an earlier result that one of the builds has made. If there is
// none, it returns ErrNone. After another error the job may have been recorded; the submission can be published in any case,
// because the first end of a job counts.
func (r *Reuse) Answer(ctx context.Context, command *conversionv1.ConvertRequested, builds [][]byte) (job.Job, error) {
	event, err := job.Read(command)
	if err != nil {
		return job.Job{}, err
	}
	submitted, ok := event.(job.Submitted)
	if !ok || submitted.Submission.CacheDigest == nil {
		return job.Job{}, ErrNone
	}
	now, err := r.Clock.Now(ctx)
	if err != nil {
		return job.Job{}, err
	}
	submitted.RecordedAt = now
	original, err := r.Jobs.Reusable(ctx, submitted.Submission.CacheDigest, builds)
	if errors.Is(err, jobstore.ErrNotFound) {
		return job.Job{}, ErrNone
	}
	if err != nil {
		return job.Job{}, err
	}
	key, err := r.copy(ctx, submitted.Job(), original.Result.ObjectKey)
	if err != nil {
		return job.Job{}, err
	}
	return r.record(ctx, submitted, r.end(submitted, original, key, now))
}

// copy copies the result of the earlier job for the new one.
func (r *Reuse) copy(ctx context.Context, id uuid.UUID, from string) (key string, err error) {
	key = id.String() + "/" + uuid.NewString() + path.Ext(from)
	err = r.Results.Copy(ctx, key, from)
	if errors.Is(err, blob.ErrNotFound) { // deleted meanwhile
		return "", ErrNone
	}
	if err != nil {
		return "", fmt.Errorf("copy a result: %w", err)
	}
	return key, nil
}

// end returns the end of the new job.
func (r *Reuse) end(submitted job.Submitted, original job.Job, key string, now time.Time) job.Ended {
	result, report := *original.Result, job.Report{}
	result.ObjectKey = key
	if original.Report != nil {
		report = *original.Report
	}
	report.Seconds, report.Cached = job.Seconds{}, true
	return r.Retention.Keep(job.Ended{
		ID: submitted.ID, SubmissionID: submitted.SubmissionID, Status: job.Succeeded, FinishedAt: now,
		Result: &result, Warnings: original.Warnings, Report: &report,
	}, now)
}

// record records the submission and its end in one transaction, and returns the job.
func (r *Reuse) record(ctx context.Context, submitted job.Submitted, end job.Ended) (job.Job, error) {
	outcomes, err := r.Jobs.Apply(ctx, []job.Event{submitted, end})
	if err != nil {
		return job.Job{}, err // the copy is kept: the job may have it
	}
	if err := errors.Join(outcomes[0].Refused, outcomes[1].Refused); err != nil || !outcomes[1].Changed {
		r.remove(ctx, end.Result.ObjectKey)
		return job.Job{}, errors.Join(ErrNone, err)
	}
	r.Ends.Count("", submitted.Submission.RequestedAt)
	return r.Jobs.Job(ctx, submitted.Job())
}

// remove deletes a copy.
func (r *Reuse) remove(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := r.Results.Delete(ctx, key); err != nil {
		r.Log.Warn("a copy of a result that belongs to no job may remain in the store", zap.String("object_key", key), logging.Trace(ctx), zap.Error(err))
	}
}
