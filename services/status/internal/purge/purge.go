// Package purge does the work that is due for single jobs: it deletes the files of deleted and expired jobs, and later their rows, and it
// publishes the commands of retried jobs that may not have been published. Every step may be interrupted, and is safe to repeat.
// Replicas share the work: each job is leased to one of them.
package purge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/cancellation"
	"github.com/docmill/docmill/contract/claim"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

const (
	// interval is the time between two passes, if nothing asks for one.
	interval = 5 * time.Second
	// batch is how many jobs are leased in one transaction. With SQLite, all other writes wait for it.
	batch = 50
	// pace is the minimum average time per expired job. Without it, polls and submissions are slow as long as there are expired jobs.
	// A job is worked on up to three times: for its document, its other files and its row.
	pace = time.Millisecond
	// lease is how long a replica has for a batch. After that, another replica does what the first one has not finished.
	lease = 5 * time.Minute
	// retryAfter is how long a job waits after the work on it has failed, for example because the store is down.
	retryAfter = 10 * time.Second
	// jobTimeout limits the work on one job: a store that hangs must not keep the others waiting.
	jobTimeout = 30 * time.Second
	// parallel is how many jobs of a batch are worked on at the same time. A remote store needs tens of milliseconds for each request.
	parallel = 16
)

// Purge deletes what has expired.
type Purge struct {
	Jobs             jobstore.Store
	Clock            *clock.Clock
	Sources, Results blob.Bucket
	// Publish publishes the command of a retried job.
	Publish   func(ctx context.Context, j job.Job) error
	Retention job.Retention
	Log       *zap.Logger

	wake    chan struct{}
	removed *prometheus.CounterVec
}

// New returns a Purge with a metric of what it deletes.
func New(p Purge, registry prometheus.Registerer) *Purge {
	p.wake = make(chan struct{}, 1)
	p.removed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metrics.Namespace, Subsystem: "status", Name: "purged_total",
		Help: "What was deleted, by kind: source (a document), files (all files of a job) and job (a row).",
	}, []string{"kind"})
	registry.MustRegister(p.removed)
	for _, kind := range []string{kindSource, kindFiles, kindJob} {
		p.removed.WithLabelValues(kind)
	}
	return &p
}

// The values of the label kind.
const (
	kindSource = "source"
	kindFiles  = "files"
	kindJob    = "job"
)

// Wake makes Run carry out the requests of clients now. It does not block.
func (p *Purge) Wake() {
	select {
	case p.wake <- struct{}{}:
	default: // one is pending
	}
}

// Run works until drain is closed. It is a component of package host. The requests of clients do not wait for expired
// jobs, of which there may be a million.
func (p *Purge) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	ctx, stop := host.Context(ctx, drain)
	defer stop()
	ready()
	var running sync.WaitGroup
	running.Go(func() {
		p.repeat(ctx, p.wake, "cannot carry out the requests of clients", func() error { return p.all(ctx, p.requests, 0) })
	})
	running.Go(func() {
		p.repeat(ctx, nil, "cannot delete expired jobs", func() error { return p.pass(ctx) })
	})
	running.Wait()
	return nil
}

// repeat makes a pass at each interval until ctx ends. wake triggers one earlier.
func (p *Purge) repeat(ctx context.Context, wake <-chan struct{}, failure string, pass func() error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-wake:
		case <-ctx.Done():
			return
		}
		if err := pass(); err != nil && ctx.Err() == nil {
			p.Log.Warn(failure+"; the next pass will retry", zap.Error(err))
		}
	}
}

// pass does everything that is due now by a trusted clock.
func (p *Purge) pass(ctx context.Context) error {
	_, err := p.Clock.Lag(ctx)
	if clock.InDoubt(err) {
		return nil
	}
	if err == nil && !p.Clock.Held() {
		err = p.keep(ctx)
	}
	if err != nil {
		return err
	}
	return p.all(ctx, p.expired, pace)
}

// all works on the jobs that take returns, until there are none. They are due by a clock that is behind by lag. On average, each job takes
// at least the given time.
func (p *Purge) all(ctx context.Context, take func(context.Context) (jobs []job.Job, lag time.Duration, err error), each time.Duration) error {
	for {
		began := time.Now()
		jobs, lag, err := take(ctx)
		if err != nil || len(jobs) == 0 {
			return err
		}
		if err := p.work(ctx, jobs, lag); err != nil {
			return err // these jobs are not due again at once
		}
		select {
		case <-time.After(time.Until(began.Add(time.Duration(len(jobs)) * each))):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// requests takes jobs that clients have retried or deleted. That does not depend on the clock.
func (p *Purge) requests(ctx context.Context) ([]job.Job, time.Duration, error) {
	now, err := p.Clock.Now(ctx)
	if err != nil {
		return nil, 0, err
	}
	jobs, err := p.Jobs.DueRequests(ctx, batch, func(j job.Job) job.Event { return p.next(j, now) })
	return jobs, 0, err
}

// expired takes all jobs that are due, by a clock that is behind while that of the database may be ahead. It returns none if the clock
// cannot be trusted at all. The clock may be set while a million jobs are deleted.
func (p *Purge) expired(ctx context.Context) ([]job.Job, time.Duration, error) {
	lag, err := p.Clock.Lag(ctx)
	if clock.InDoubt(err) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	now, err := p.Clock.Now(ctx)
	if err != nil {
		return nil, 0, err
	}
	jobs, err := p.Jobs.Due(ctx, lag, batch, func(j job.Job) job.Event { return p.next(j, now.Add(-lag)) })
	return jobs, lag, err
}

// keep sets the expiry of jobs that ended under an earlier release.
func (p *Purge) keep(ctx context.Context) error {
	at, err := p.Clock.Now(ctx)
	if err != nil {
		return err
	}
	for {
		n, err := p.Jobs.Keep(ctx, batch, func(j job.Job) job.Event {
			return job.Kept{ID: job.ID(j.ID), At: at, Retention: p.Retention}
		})
		if err != nil || n < batch {
			return err
		}
	}
}

// next returns what happens to a due job before the work on it: it becomes a tombstone if it has expired, and is leased otherwise.
func (p *Purge) next(j job.Job, now time.Time) job.Event {
	if j.DueAt.After(now) {
		now = j.DueAt // it has become due after now was read
	}
	id, until := job.ID(j.ID), now.Add(lease)
	switch {
	case j.Gone != "" || !j.Status.Terminal():
		return job.Leased{ID: id, Until: until}
	case j.ExpiresAt.IsZero(): // an earlier release has ended it after a retry
		return job.Kept{ID: id, At: now, Retention: p.Retention}
	case !j.ExpiresAt.After(now):
		removed := job.Removed{ID: id, Reason: job.Expired, At: now, Until: now.Add(p.Retention.Tombstone)}
		return job.Outlived{Removed: removed, LeasedUntil: until}
	case !j.SourceDeleted && !j.SourceExpiresAt.After(now):
		return job.SourceRemoved{ID: id, LeasedUntil: until}
	default:
		return job.Leased{ID: id, Until: until}
	}
}

// work does what is due for the jobs, and records it. What could not be done is due again a little later, by a clock that is behind by lag.
// work fails only if nothing could be done, as during an outage of the store: a few errors must not delay the other jobs.
func (p *Purge) work(ctx context.Context, jobs []job.Job, lag time.Duration) error {
	var mutex sync.Mutex
	var events []job.Event
	var forgotten []uuid.UUID
	var failures []error
	limited, cancel := context.WithTimeout(ctx, lease*9/10) // then other replicas work on the jobs
	defer cancel()
	group := errgroup.Group{}
	group.SetLimit(parallel)
	for _, j := range jobs {
		group.Go(func() error {
			event, forget, err := p.one(limited, j)
			mutex.Lock()
			defer mutex.Unlock()
			switch {
			case err != nil:
				failures = append(failures, fmt.Errorf("job %s: %w", j.ID, err))
				if now, err := p.Clock.Now(ctx); err == nil { // otherwise the lease ends later
					events = append(events, job.Leased{ID: job.ID(j.ID), Until: now.Add(retryAfter - lag)})
				}
			case forget:
				forgotten = append(forgotten, j.ID)
			case event != nil:
				events = append(events, event)
			}
			return nil
		})
	}
	_ = group.Wait()
	if err := p.record(ctx, events, forgotten); err != nil || len(failures) == len(jobs) {
		return errors.Join(err, first(failures))
	}
	if err := first(failures); err != nil {
		p.Log.Warn("cannot delete the files of some jobs; they will be retried", zap.Error(err))
	}
	return nil
}

// first returns the first of the errors: an outage of the store makes one for each job.
func first(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%w (and %d more)", errs[0], len(errs)-1)
}

func (p *Purge) record(ctx context.Context, events []job.Event, forgotten []uuid.UUID) error {
	if len(events) > 0 {
		if _, err := p.Jobs.Apply(ctx, events); err != nil {
			return err
		}
		for _, event := range events {
			switch event.(type) {
			case job.FilesRemoved:
				p.removed.WithLabelValues(kindFiles).Inc()
			case job.Settled:
				p.removed.WithLabelValues(kindSource).Inc()
			}
		}
	}
	if len(forgotten) == 0 {
		return nil
	}
	n, err := p.Jobs.Forget(ctx, forgotten)
	p.removed.WithLabelValues(kindJob).Add(float64(n))
	return err
}

// one does the work that is due for one job. It returns the event that records the work, or forget if the row is to be deleted.
func (p *Purge) one(ctx context.Context, j job.Job) (event job.Event, forget bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	switch {
	case j.Gone != "" && j.FilesDeleted:
		return nil, true, p.deleteTraces(ctx, j)
	case j.Gone != "":
		return job.FilesRemoved{ID: job.ID(j.ID)}, false, p.deleteContents(ctx, j)
	case j.Unpublished:
		return nil, false, p.Publish(ctx, j)
	case j.Status.Terminal() && j.SourceDeleted && j.Submission != nil:
		return job.Settled{ID: job.ID(j.ID)}, false, p.Sources.Delete(ctx, j.Submission.ObjectKey)
	default:
		return nil, false, nil
	}
}

// deleteContents deletes what a tombstone need not have: its files and, if the client has deleted the job, what was reported of it.
func (p *Purge) deleteContents(ctx context.Context, j job.Job) error {
	err := p.deleteFiles(ctx, j)
	if j.Gone == job.Deleted {
		err = errors.Join(err, p.Jobs.ForgetDeliveries(ctx, j.ID))
	}
	return err
}

// deleteFiles deletes the document and the result of a tombstone. Results of losing attempts are left to package orphan.
func (p *Purge) deleteFiles(ctx context.Context, j job.Job) error {
	var err error
	if j.Submission != nil {
		err = p.Sources.Delete(ctx, j.Submission.ObjectKey)
	}
	if j.Result != nil {
		err = errors.Join(err, p.Results.Delete(ctx, j.Result.ObjectKey))
	}
	return err
}

// deleteTraces deletes what is kept as long as the tombstone: the markers of cancellations, because commands of the job may have been
// delivered until now, and the claim of its idempotency key.
func (p *Purge) deleteTraces(ctx context.Context, j job.Job) error {
	err := cancellation.Unmark(ctx, p.Sources, j.ID.String(), j.Generation)
	if j.Submission != nil && j.Submission.ClaimKey != "" {
		err = errors.Join(err, claim.Release(ctx, p.Sources, j.Submission.ClaimKey, j.ID.String()))
	}
	return err
}
