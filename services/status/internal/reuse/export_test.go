package reuse

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/docmill/docmill/services/status/job"
)

// The limits, and the error of what exceeds them.
const (
	MaxLargeCopies = maxLargeCopies
	MaxSearches    = maxSearches
	MaxWriters     = maxWriters
	MaxAnswers     = maxAnswers
	MaxWaiting     = maxWaiting
	MaxSize        = maxSize
	MinCost        = minCost
)

var ErrBusy, ErrWithdrawn = errBusy, errWithdrawn

// Patient sets how long an answer may take.
func (r *Reuse) Patient(d time.Duration) { r.copyTimeout, r.recordTimeout = d, d }

// LimitBytes sets the total number of bytes by which copies may exceed their documents.
func (r *Reuse) LimitBytes(n int) { r.limits.bytes = rate.NewLimiter(0, n) }

// Recorder returns what records the jobs.
func (r *Reuse) Recorder() *Recorder { return (*Recorder)(&r.recorder) }

type Recorder recorder

func (r *Recorder) Record(ctx context.Context, submitted job.Submitted, end job.Ended) error {
	_, err := (*recorder)(r).record(ctx, submitted, end)
	return err
}

// Waiting returns how many jobs wait for a transaction.
func (r *Recorder) Waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting)
}

// Expire has a writer find a job in the queue whose request was over at a time, and returns the error that it gets.
func (r *Recorder) Expire(at time.Time) error {
	a := &answer{until: at, done: make(chan struct{})}
	r.waiting, r.writers = append(r.waiting, a), r.writers+1
	if batch := (*recorder)(r).next(); len(batch) > 0 {
		return nil
	}
	<-a.done
	return a.err
}
