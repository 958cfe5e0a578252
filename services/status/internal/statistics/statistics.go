// Package statistics answers how many jobs there are and how long they wait, without counting them for each request.
package statistics

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

const (
	// sample is the number of jobs whose waiting times are compared.
	sample = 1000
	// minAge is how long a count is used at least. A count that took long is used costShare times as long as it took, so counting
	// takes at most 2% of the time.
	minAge    = 5 * time.Second
	costShare = 50
	// failedAge is how long a failure is returned to all requests at least, so that they do not add to the load of a database in
	// trouble. After a failure that took long, it is costShare times as long, but at most maxFailedAge.
	failedAge    = 2 * time.Second
	maxFailedAge = time.Minute
)

// Store is the part of a jobstore.Store that is read.
type Store interface {
	Stats(ctx context.Context, waits int) (jobstore.Stats, error)
	OldestWaiting(ctx context.Context) (time.Duration, error)
}

// Statistics keeps the latest count. It is safe for concurrent use.
type Statistics struct {
	store    Store
	counting singleflight.Group

	mu     sync.Mutex
	latest jobapi.Stats
	err    error // why there is no latest count
	until  time.Time
}

// New returns statistics of a store, which it reads when they are requested.
func New(store Store) *Statistics { return &Statistics{store: store} }

// Get returns statistics that are at most a few seconds old, or older if counting takes more than 0.1 s. Requests that arrive
// while the jobs are counted, and for two seconds to a minute after a failure, share the result.
func (s *Statistics) Get(ctx context.Context) (jobapi.Stats, error) {
	if latest, fresh, err := s.fresh(); fresh {
		return latest, err
	}
	counted := s.counting.DoChan("", func() (any, error) {
		if latest, fresh, err := s.fresh(); fresh {
			return latest, err
		}
		began := time.Now()
		latest, err := s.count(context.WithoutCancel(ctx)) // others wait for it, too; the store limits it
		s.keep(latest, err, time.Since(began))
		return latest, err
	})
	select {
	case result := <-counted:
		if result.Err != nil {
			return jobapi.Stats{}, result.Err
		}
		return result.Val.(jobapi.Stats), nil //nolint:forcetypeassert // it is one
	case <-ctx.Done():
		return jobapi.Stats{}, ctx.Err()
	}
}

// fresh returns the latest result, and whether it is recent enough.
func (s *Statistics) fresh() (latest jobapi.Stats, fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latest, time.Now().Before(s.until), s.err
}

// keep stores the result of a count, which took this long.
func (s *Statistics) keep(latest jobapi.Stats, err error, took time.Duration) {
	age := max(minAge, costShare*took)
	if err != nil {
		age = max(failedAge, min(costShare*took, maxFailedAge))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest, s.err, s.until = latest, err, time.Now().Add(age)
}

func (s *Statistics) count(ctx context.Context) (jobapi.Stats, error) {
	counted, err := s.store.Stats(ctx, sample)
	if err != nil {
		return jobapi.Stats{}, err
	}
	oldest, err := s.store.OldestWaiting(ctx)
	if err != nil {
		return jobapi.Stats{}, err
	}
	stats := jobapi.Stats{
		CountedAt: time.Now().UTC().Truncate(time.Millisecond),
		Jobs: jobapi.JobCounts{
			Queued: counted.Jobs[job.Queued], Running: counted.Jobs[job.Running], Succeeded: counted.Jobs[job.Succeeded],
			Failed: counted.Jobs[job.Failed], Canceled: counted.Jobs[job.Canceled],
		},
		Queue: jobapi.QueueTimes{OldestWaiting: seconds(oldest), Sample: len(counted.Waits)},
	}
	if len(counted.Waits) > 0 {
		slices.Sort(counted.Waits)
		stats.Queue.P50, stats.Queue.P95 = percentile(counted.Waits, 50), percentile(counted.Waits, 95)
	}
	return stats, nil
}

// percentile returns the p-th percentile of sorted times: the smallest that at least p percent of them do not exceed.
func percentile(sorted []time.Duration, p int) *float64 {
	return new(seconds(sorted[(len(sorted)*p+99)/100-1]))
}

// seconds returns a duration in seconds, in whole milliseconds.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }
