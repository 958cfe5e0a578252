// Package control cancels, retries and deletes jobs at the request of clients. Each decision is made in a transaction on the row of
// the job, so any number of replicas may receive the same request at the same time.
//
// A transaction that waits for the row holds a connection to the database, and polls need connections, too. So identical requests that
// arrive at the same time share one change, and only a few jobs are changed at once.
package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/cancellation"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/logging"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/internal/ending"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// Control carries out the requests of clients. It is safe for concurrent use.
type Control struct {
	Deps

	changes singleflight.Group
	// slots is for changes that need the store of the documents, and ended for deletions of jobs that have ended.
	slots, ended *semaphore.Weighted
}

// Deps are what a Control depends on.
type Deps struct {
	Jobs      jobstore.Store
	Clock     *clock.Clock
	Sources   blob.Bucket
	Publisher interface {
		Publish(ctx context.Context, m message.Message) error
	}
	Retention job.Retention
	// JobDeadline is how long after a retry the job may still be converted.
	JobDeadline time.Duration
	// Removed is called after a job was deleted, so that its files are deleted soon. It must not block.
	Removed func()
	Ends    *ending.Metrics
	Log     *zap.Logger
}

const (
	// markTimeout limits how long a client waits for the store.
	markTimeout = 2 * time.Second
	// publishTimeout limits how long a client waits for the broker. Package purge publishes a command later that was not published in time.
	publishTimeout = 3 * time.Second
	storeRetry     = 5 * time.Second
	unfinishedWait = time.Second
	// maxChanges is how many jobs are changed at the same time, and maxDeletions how many that have ended are deleted. Together they take
	// less than half of the default number of connections to the database.
	maxChanges, maxDeletions = 4, 2
	// slotWait limits how long a change waits for others.
	slotWait  = 2 * time.Second
	busyRetry = 2 * time.Second
)

// New returns a Control.
func New(deps Deps) *Control {
	return &Control{Deps: deps, slots: semaphore.NewWeighted(maxChanges), ended: semaphore.NewWeighted(maxDeletions)}
}

// together makes a change. Requests for the same change that arrive while it is made share its outcome. Changes are the same
// only if the generation and the status of the job are: a job that was retried meanwhile has to be canceled again.
func (c *Control) together(ctx context.Context, name string, j job.Job, change func(context.Context, job.Job) (job.Job, error)) (job.Job, error) {
	now, err, _ := c.changes.Do(fmt.Sprintf("%s %s %d %s", name, j.ID, j.Generation, j.Status), func() (any, error) {
		return change(ctx, j)
	})
	return now.(job.Job), err //nolint:forcetypeassert // it is one
}

// Cancel cancels a visible job and returns it. A job that was canceled before is returned unchanged. The errors of Cancel are problems,
// or errors of the store.
func (c *Control) Cancel(ctx context.Context, j job.Job) (job.Job, error) {
	if j.Status == job.Canceled {
		return j, nil
	}
	if j.Status.Terminal() {
		return j, tooLate(j)
	}
	return c.together(ctx, "cancel", j, c.cancel)
}

func (c *Control) cancel(ctx context.Context, j job.Job) (job.Job, error) {
	var event job.Ended
	now, changed, err := c.apply(ctx, c.slots, func(ctx context.Context) (job.Event, error) {
		if err := c.mark(ctx, j); err != nil {
			return nil, err
		}
		at, err := c.Clock.Now(ctx)
		event = c.Retention.Keep(job.Cancel(j.ID, j.Generation), at)
		return event, err
	})
	if err != nil {
		return j, err
	}
	if changed {
		c.Ends.CountEvent(event)
		c.announce(ctx, now)
	}
	if now.Status != job.Canceled {
		return now, tooLate(now)
	}
	return now, nil
}

func tooLate(j job.Job) error {
	if !j.Status.Terminal() {
		return problem.New(problem.JobNotCancelable, "The job had ended, and is %s again because it was retried.", j.Status)
	}
	return problem.New(problem.JobNotCancelable, "The job has already %s.", j.Status)
}

// Retry queues a failed or canceled job again, and returns it. A job that was retried before and has not ended since is returned
// unchanged. The errors of Retry are problems, or errors of the store.
func (c *Control) Retry(ctx context.Context, j job.Job) (job.Job, error) {
	if j.Generation > 0 && !j.Status.Terminal() {
		return j, nil
	}
	// A request that cannot succeed takes no slot: nothing would limit how often it is repeated.
	at, err := c.Clock.Now(ctx)
	if err != nil {
		return j, err
	}
	if !j.Retryable(at) {
		return j, notRetryable(j)
	}
	return c.together(ctx, "retry", j, c.retry)
}

func (c *Control) retry(ctx context.Context, j job.Job) (job.Job, error) {
	now, changed, err := c.apply(ctx, c.slots, func(ctx context.Context) (job.Event, error) {
		at, err := c.Clock.Now(ctx)
		if err == nil && j.Retryable(at) {
			err = c.clear(ctx, j)
		}
		return job.Retried{ID: job.ID(j.ID), At: at}, err
	})
	switch {
	case err != nil:
		return j, err
	case changed:
		if err := c.Publish(ctx, now); err != nil {
			c.Log.Warn("cannot publish the command of a retried job now; it will be published later",
				logging.JobID(j.ID.String()), logging.Trace(ctx), zap.Error(err))
		}
		return now, nil
	case now.Generation > j.Generation: // another request was faster
		if now.Status == job.Canceled { // and another one has canceled the job, whose marker may be gone
			return now, c.mark(ctx, now)
		}
		return now, nil
	default:
		return now, notRetryable(now)
	}
}

func notRetryable(j job.Job) error {
	switch {
	case !j.Status.Terminal():
		return problem.New(problem.JobNotFinished, "The job is %s.", j.Status).After(unfinishedWait)
	case j.Status == job.Succeeded:
		return problem.New(problem.JobNotRetryable, "The job has already succeeded.")
	case j.Generation >= job.MaxGenerations:
		return problem.New(problem.JobNotRetryable, "The job was retried %d times.", j.Generation)
	case !j.SourceDeleted && j.Submission != nil && j.Submission.Target == nil:
		return problem.New(problem.JobNotRetryable, "The job was recorded by an earlier version of Docmill.")
	default:
		return problem.New(problem.JobNotRetryable, "The document of the job was deleted.")
	}
}

// Publish publishes the command of a retried job, and records that. A command that is published twice costs a conversion and does no
// other harm.
func (c *Control) Publish(ctx context.Context, j job.Job) error {
	command, err := c.command(j)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	next := message.Message{Body: command, JobID: j.ID.String(), Attempt: int(j.Attempt) + 1, Returned: true}
	if err := c.Publisher.Publish(ctx, next); err != nil {
		return fmt.Errorf("publish the command of a retried job: %w", err)
	}
	_, err = c.Jobs.Apply(ctx, []job.Event{job.Published{ID: job.ID(j.ID), Generation: j.Generation}})
	return err
}

// command returns the command for the present generation of a job.
func (c *Control) command(j job.Job) (*conversionv1.ConvertRequested, error) {
	s, target := j.Submission, &conversionv1.Target{}
	if err := proto.Unmarshal(s.Target, target); err != nil {
		return nil, fmt.Errorf("decode the target of a job: %w", err)
	}
	command := &conversionv1.ConvertRequested{
		JobId: j.ID.String(), Generation: j.Generation, RequestedAt: timestamppb.New(j.UpdatedAt),
		ExpiresAt: timestamppb.New(j.UpdatedAt.Add(c.JobDeadline)), Tag: s.Tag, Target: target, CacheDigest: s.CacheDigest,
		Source: &conversionv1.Source{
			ObjectKey: s.ObjectKey, Filename: s.Filename, Format: s.Format, ContentType: s.ContentType, Size: s.Size, Sha256: s.SHA256,
		},
	}
	if j.SubmissionID != uuid.Nil {
		command.SubmissionId = j.SubmissionID.String()
	}
	return command, nil
}

// Delete turns a visible job into a tombstone. If the job has not ended, it is canceled as well. The errors of Delete are problems, or
// errors of the store.
func (c *Control) Delete(ctx context.Context, j job.Job) error {
	_, err := c.together(ctx, "delete", j, c.delete)
	return err
}

func (c *Control) delete(ctx context.Context, j job.Job) (job.Job, error) {
	slots := c.slots
	if j.Status.Terminal() {
		slots = c.ended // a store that hangs must not delay what does not need it
	}
	now, changed, err := c.apply(ctx, slots, func(ctx context.Context) (job.Event, error) {
		if !j.Status.Terminal() {
			if err := c.mark(ctx, j); err != nil {
				return nil, err
			}
		}
		at, err := c.Clock.Now(ctx)
		return job.Removed{ID: job.ID(j.ID), Reason: job.Deleted, At: at, Until: at.Add(c.Retention.Tombstone)}, err
	})
	if err != nil || !changed {
		return now, err
	}
	if !j.Status.Terminal() {
		c.Ends.Count(problem.Canceled, j.Submission.RequestedAt)
		c.announce(ctx, now)
	}
	c.Removed()
	return now, nil
}

// apply prepares an event, applies it and returns the job after it, even if clients cannot see that job. It waits for its turn first. If
// that takes too long, it returns a problem, and nothing has changed.
func (c *Control) apply(
	ctx context.Context, slots *semaphore.Weighted, prepare func(context.Context) (job.Event, error),
) (now job.Job, changed bool, err error) {
	if err := turn(ctx, slots); err != nil {
		return now, false, err
	}
	defer slots.Release(1)
	event, err := prepare(ctx)
	if err != nil {
		return now, false, err
	}
	outcomes, err := c.Jobs.Apply(ctx, []job.Event{event})
	if err == nil {
		err = outcomes[0].Refused
	}
	if err != nil {
		return now, false, err
	}
	now, err = c.Jobs.Job(ctx, event.Job())
	if errors.Is(err, jobstore.ErrGone) {
		err = nil
	}
	return now, outcomes[0].Changed, err
}

// turn takes one of the slots.
func turn(ctx context.Context, slots *semaphore.Weighted) error {
	ctx, cancel := context.WithTimeout(ctx, slotWait)
	defer cancel()
	if err := slots.Acquire(ctx, 1); err != nil {
		return problem.New(problem.Busy, "Too many jobs are being canceled, retried or deleted.").After(busyRetry).Because(err)
	}
	return nil
}

// mark stores the marker, so that no converter starts the job. It is called first: if this process dies afterwards, the converter that
// finds the marker reports the cancellation.
func (c *Control) mark(ctx context.Context, j job.Job) error {
	ctx, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	if err := cancellation.Mark(ctx, c.Sources, j.ID.String(), j.Generation); err != nil {
		return problem.New(problem.StoreUnavailable, "The cancellation could not be stored.").After(storeRetry).Because(err)
	}
	return nil
}

// clear deletes a marker of the job's next generation. There is one only if a failover of the database has lost an earlier retry and its
// cancellation; it would cancel the new generation.
func (c *Control) clear(ctx context.Context, j job.Job) error {
	ctx, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	if err := cancellation.Clear(ctx, c.Sources, j.ID.String(), j.Generation+1); err != nil {
		return problem.New(problem.StoreUnavailable, "The file storage did not respond.").After(storeRetry).Because(err)
	}
	return nil
}

// announce tells the converters about the cancellation. A converter that it does not reach finds the marker within seconds.
func (c *Control) announce(ctx context.Context, j job.Job) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	err := c.Publisher.Publish(ctx, message.Message{Body: &conversionv1.CancelAnnounced{JobId: j.ID.String(), Generation: j.Generation}})
	if err != nil {
		c.Log.Warn("cannot announce a cancellation; converters will find its marker", logging.JobID(j.ID.String()), logging.Trace(ctx), zap.Error(err))
	}
}
