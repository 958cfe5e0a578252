// Package deadline fails the jobs that nothing else has ended in time, so that no client polls forever, and deletes what
// remains of withdrawn submissions.
package deadline

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/internal/ending"
	"github.com/docmill/docmill/services/status/internal/watermark"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// Sweep fails overdue jobs and deletes withdrawn ones, periodically. Any number of replicas may sweep the same database.
type Sweep struct {
	// Deadline counts from the moment at which the first event of a job was applied, up to the watermark of the store. So
	// a job is only ended when everything that was published before its deadline has been applied.
	Deadline time.Duration
	// Every is the time between two sweeps.
	Every time.Duration
	Store jobstore.Store
	Clock *clock.Clock
	// Retention is how long the files of the jobs that it ends are kept.
	Retention job.Retention
	// Ends counts the jobs that are failed; it may be nil.
	Ends *ending.Metrics
	Log  *zap.Logger
}

// maxJobs is how many jobs are ended or deleted in one transaction.
const maxJobs = 200

// withdrawnFor is the age at the watermark at which a withdrawn job is deleted. Before that, a redelivery of its submission
// would make it a job again. A submission is redelivered at the latest after RabbitMQ's consumer_timeout, 30 minutes.
const withdrawnFor = time.Hour

// Run sweeps until drain is closed. It is a component of package host.
func (s *Sweep) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	ready()
	ticker := time.NewTicker(s.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := s.sweep(ctx); err != nil && !clock.InDoubt(err) {
				s.Log.Warn("sweep of jobs failed; the next one will retry", zap.Error(err))
			}
		case <-drain:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Sweep) sweep(ctx context.Context) error {
	if err := s.Clock.Check(ctx); err != nil {
		return err
	}
	return errors.Join(s.expire(ctx), s.deleteWithdrawn(ctx))
}

func (s *Sweep) expire(ctx context.Context) error {
	for {
		now, err := s.Clock.Now(ctx)
		if err != nil {
			return err
		}
		end := func(j job.Job) job.Event { return s.end(j, now) }
		expired, err := s.Store.Expire(ctx, s.Deadline+watermark.SweepMargin, maxJobs, end)
		if err != nil {
			return err
		}
		for _, j := range expired {
			if j.Submission != nil {
				s.Ends.Count(problem.AttemptsExhausted, j.Submission.RequestedAt)
			}
			s.Log.Error("job exceeded its deadline; marking it failed", logging.JobID(j.ID.String()),
				zap.String("previous_status", string(j.Status)), zap.Int32("attempt", j.Attempt),
				zap.Duration("deadline", s.Deadline))
		}
		if len(expired) < maxJobs {
			return nil
		}
	}
}

func (s *Sweep) deleteWithdrawn(ctx context.Context) error {
	for {
		deleted, err := s.Store.DeleteWithdrawn(ctx, withdrawnFor, maxJobs)
		if err != nil || deleted < maxJobs {
			return err
		}
	}
}

// end returns attempts-exhausted for every overdue job, even for one that is running: whatever happened to its
// attempts, there is no time for another one. conversion-timeout would blame the document, which may never have been
// opened.
func (s *Sweep) end(j job.Job, now time.Time) job.Event {
	return s.Retention.Keep(job.Fail(j.ID, j.Generation, 0,
		problem.New(problem.AttemptsExhausted, "The job was not finished within %s.", s.Deadline)), now)
}
