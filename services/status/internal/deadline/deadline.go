// Package deadline fails the jobs that nothing else has ended in time, so that no client polls forever.
package deadline

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// Sweep fails overdue jobs periodically. Any number of replicas may sweep the same database.
type Sweep struct {
	// Deadline counts from the moment at which the first event of a job was applied. That is the time of the submission,
	// except after an outage of this service: events of that time are still in the queue, and a deadline must not overtake
	// them.
	Deadline time.Duration
	// Every is the time between two sweeps.
	Every time.Duration
	// Current reports whether all events so far have been applied. Until then no job is ended.
	Current func(context.Context) bool
	Store   jobstore.Store
	Log     *zap.Logger
}

// maxJobs is how many jobs are ended in one transaction.
const maxJobs = 200

// Run sweeps until drain is closed. It is a component of package host.
func (s *Sweep) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	ready()
	clock := time.NewTicker(s.Every)
	defer clock.Stop()
	for {
		select {
		case <-clock.C:
			if err := s.sweep(ctx); err != nil {
				s.Log.Warn("sweep of overdue jobs failed; the next one will retry", zap.Error(err))
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
		expired, err := s.Store.Expire(ctx, s.Deadline, maxJobs, s.end)
		if err != nil {
			return err
		}
		for _, j := range expired {
			s.Log.Error("job exceeded its deadline; marking it failed", logging.JobID(j.ID.String()),
				zap.String("previous_status", string(j.Status)), zap.Int32("attempt", j.Attempt),
				zap.Duration("deadline", s.Deadline))
		}
		if len(expired) < maxJobs {
			return nil
		}
	}
	return nil
}

// end returns attempts-exhausted for every overdue job, even for one that is running: whatever happened to its
// attempts, there is no time for another one. conversion-timeout would blame the document, which may never have been
// opened.
func (s *Sweep) end(j job.Job) job.Event {
	return job.Fail(j.ID, 0, problem.New(problem.AttemptsExhausted, "The job was not finished within %s.", s.Deadline))
}
