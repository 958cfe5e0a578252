// Package deadline ends the jobs that nothing else has ended in time, so that no client polls for ever.
package deadline

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/services/status/internal/fold"
)

// Store ends overdue jobs.
type Store interface {
	Expire(ctx context.Context, deadline time.Duration, most int, end func(fold.Job) fold.Event) ([]fold.Job, error)
}

// Sweep ends overdue jobs from time to time. Any number of replicas may sweep the same database.
type Sweep struct {
	// Deadline is counted from the moment in which the first event of a job came. That is the submission, but for an outage
	// of this service: what happened during it is in the queue, and must not be overtaken by a deadline.
	Deadline time.Duration
	// Every is the time between two sweeps.
	Every time.Duration
	// Current tells whether all events so far have been applied: before that, nothing is ended.
	Current func(context.Context) bool
	Store   Store
	Log     *zap.Logger
}

// most is how many jobs are ended in one transaction.
const most = 200

// Run sweeps until drain is closed. It is a part of package host.
func (s *Sweep) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	ready()
	clock := time.NewTicker(s.Every)
	defer clock.Stop()
	for {
		select {
		case <-clock.C:
			if err := s.sweep(ctx); err != nil {
				s.Log.Warn("the sweep of overdue jobs failed; the next one tries again", zap.Error(err))
			}
		case <-drain:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Sweep) sweep(ctx context.Context) error {
	for s.Current(ctx) {
		expired, err := s.Store.Expire(ctx, s.Deadline, most, s.end)
		if err != nil {
			return err
		}
		for _, j := range expired {
			s.Log.Error("a job outlived its deadline; it fails", logging.JobID(j.ID.String()), zap.String("was", string(j.Status)),
				zap.Int32("attempt", j.Attempt), zap.Duration("deadline", s.Deadline))
		}
		if len(expired) < most {
			return nil
		}
	}
	return nil
}

// end is attempts-exhausted for every overdue job, also for one that is running: whatever became of its attempts, there is
// time for no other one. conversion-timeout would blame the document, which may never have been opened.
func (s *Sweep) end(j fold.Job) fold.Event {
	failure := problem.New(problem.AttemptsExhausted, "The job was not finished within %s.", s.Deadline).Failure()
	return fold.Ended{
		JobID: fold.JobID(j.ID), FinishedAt: time.Now().UTC().Truncate(time.Microsecond),
		Failure: &fold.Failure{Code: string(failure.Code), Detail: failure.Detail, Retryable: failure.Retryable},
	}
}
