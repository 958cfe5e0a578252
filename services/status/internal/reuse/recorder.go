package reuse

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

const (
	// maxWriters is how many transactions of a recorder run at once. Each takes a connection to the database, which polls need as well.
	maxWriters = 2
	// maxAnswers is how many jobs are recorded in one transaction.
	maxAnswers = 64
	// maxWaiting is how many jobs wait for the next transactions.
	maxWaiting = 4 * maxAnswers
	// applyTimeout limits one transaction.
	applyTimeout = 5 * time.Second
)

// recorder records jobs. Those that arrive while it is busy share the next transaction.
type recorder struct {
	jobs jobstore.Store

	mu      sync.Mutex
	waiting []*answer
	writers int
}

// answer is a job to record.
type answer struct {
	ctx context.Context //nolint:containedctx // the trace
	// until is when nobody waits for the outcome any more; zero if that is unknown.
	until time.Time
	// submitted and end are its events.
	submitted, end job.Event
	// done is closed when the outcome is known.
	done     chan struct{}
	outcomes []jobstore.Outcome
	err      error
}

// record applies the submission of a job and its end. After errBusy or errWithdrawn, they were not applied and will not be. After another
// error, that is unknown.
func (r *recorder) record(ctx context.Context, submitted job.Submitted, end job.Ended) ([]jobstore.Outcome, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", errWithdrawn, ctx.Err())
	}
	a := &answer{ctx: context.WithoutCancel(ctx), submitted: submitted, end: end, done: make(chan struct{})}
	a.until, _ = ctx.Deadline()
	if !r.enqueue(a) { //nolint:contextcheck // a transaction outlives the requests that it records
		return nil, errBusy
	}
	select {
	case <-a.done:
		return a.outcomes, a.err
	case <-ctx.Done():
	}
	if r.withdraw(a) {
		return nil, fmt.Errorf("%w: %w", errWithdrawn, ctx.Err())
	}
	select {
	case <-a.done:
		return a.outcomes, a.err
	default:
		return nil, ctx.Err()
	}
}

// enqueue lets the answer wait for a transaction. It returns false if too many wait.
func (r *recorder) enqueue(a *answer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == maxWaiting {
		return false
	}
	r.waiting = append(r.waiting, a)
	if r.writers < maxWriters {
		r.writers++
		go r.write()
	}
	return true
}

// withdraw removes a waiting answer. It returns false if the answer no longer waits.
func (r *recorder) withdraw(a *answer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.waiting, a)
	if i < 0 {
		return false
	}
	r.waiting = slices.Delete(r.waiting, i, i+1)
	return true
}

// write records the waiting answers until there are none.
func (r *recorder) write() {
	for {
		batch := r.next()
		if len(batch) == 0 {
			return
		}
		r.apply(batch)
	}
}

// next returns the answers of the next transaction. If there are none, the writer must stop.
func (r *recorder) next() []*answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	// After a pause of the process, the waiting requests are over, but have not withdrawn their answers yet. Their clients may have been told
	// that there is no job.
	r.waiting = slices.DeleteFunc(r.waiting, func(a *answer) bool {
		expired := !a.until.IsZero() && !time.Now().Before(a.until)
		if expired {
			a.err = errWithdrawn
			close(a.done)
		}
		return expired
	})
	n := min(len(r.waiting), maxAnswers)
	if n == 0 {
		r.writers--
		return nil
	}
	batch := slices.Clone(r.waiting[:n])
	r.waiting = slices.Delete(r.waiting, 0, n)
	return batch
}

// apply applies the events of the answers in one transaction, which belongs to the trace of the first one.
func (r *recorder) apply(batch []*answer) {
	ctx, cancel := context.WithTimeout(batch[0].ctx, applyTimeout)
	defer cancel()
	events := make([]job.Event, 0, 2*len(batch))
	for _, a := range batch {
		events = append(events, a.submitted, a.end)
	}
	outcomes, err := r.jobs.Apply(ctx, events)
	for i, a := range batch {
		if a.err = err; err == nil {
			a.outcomes = outcomes[2*i : 2*i+2]
		}
		close(a.done)
	}
}
