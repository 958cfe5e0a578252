package live

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/gateway/internal/statusclient"
)

const (
	// progressInterval is the time between two reads of a running job: its progress is not reported as a change.
	progressInterval = time.Second
	// recheckInterval is the time between two reads of a job that is not running, in case the report of a change was lost.
	recheckInterval = 15 * time.Second
	// unreportedInterval replaces recheckInterval while the status service does not report changes.
	unreportedInterval = 5 * time.Second
	// outageInterval is the time between two tries to read a job.
	outageInterval = 2 * time.Second
	// maxReads limits the reads per second of all jobs together, not counting the jobs that are reported as changed. With
	// more jobs, each waits longer.
	maxReads = 2000
)

// reader reads a job for all of its streams, from the first offer until the last stream has left.
type reader struct {
	all   *Streams
	id    uuid.UUID
	ctx   context.Context //nolint:containedctx // that of the goroutine
	stop  context.CancelFunc
	start sync.Once
	woken chan struct{}

	streams int // guarded by all.mu

	mu      sync.Mutex
	latest  statusclient.Version
	err     error         // why the job cannot be read any longer
	changed chan struct{} // closed at the next change of latest or err
}

func newReader(s *Streams, id uuid.UUID) *reader {
	r := &reader{all: s, id: id, woken: make(chan struct{}, 1), changed: make(chan struct{})}
	r.ctx, r.stop = context.WithCancel(s.ctx)
	return r
}

// wake makes the reader read soon.
func (r *reader) wake() {
	select {
	case r.woken <- struct{}{}:
	default: // it has not seen the previous signal yet
	}
}

// offer reports a version that was read elsewhere, and starts the reader.
func (r *reader) offer(v statusclient.Version) {
	r.update(v, nil)
	r.start.Do(func() {
		r.all.open.Go(func() {
			defer r.all.recovered()
			r.run()
		})
	})
}

// state returns the latest version, or the reason why there are no more, and a channel that is closed when it changes.
func (r *reader) state() (statusclient.Version, <-chan struct{}, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.latest, r.changed, r.err
}

// failed reports whether the job could not be read.
func (r *reader) failed() bool {
	_, _, err := r.state()
	return err != nil
}

// update keeps the version if it is newer than the latest, or the error.
func (r *reader) update(v statusclient.Version, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil || v.Number <= r.latest.Number && err == nil {
		return
	}
	if err == nil {
		r.latest = v
	}
	r.err = err
	close(r.changed)
	r.changed = make(chan struct{})
}

// run reads the job until it has ended or cannot be read any longer.
func (r *reader) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	next := time.Duration(0)
	for {
		latest, _, err := r.state()
		if err != nil || latest.Status.Terminal() {
			return
		}
		if next == 0 {
			next = r.interval(latest.Status)
		}
		timer.Reset(next)
		select {
		case <-r.woken:
		case <-timer.C:
		case <-r.ctx.Done():
			return
		}
		next = r.read(latest.Number)
	}
}

// read reads the job once, and returns when to try again if that is not possible now.
func (r *reader) read(known int64) (again time.Duration) {
	latest, err := r.all.read(r.ctx, r.id, known)
	var outage *problem.Error
	switch {
	case err == nil:
		r.update(latest, nil)
	case errors.Is(err, statusclient.ErrUnchanged):
	case errors.As(err, &outage) && outage.Code == problem.StatusUnavailable:
		return r.spread(outageInterval)
	default:
		r.update(statusclient.Version{}, fmt.Errorf("read the job: %w", err))
	}
	return 0
}

// interval returns how long to wait before a job is read again without a report of its change.
func (r *reader) interval(status jobapi.Status) time.Duration {
	switch {
	case status == jobapi.Running:
		return r.spread(progressInterval)
	case r.all.reported.Load():
		return r.spread(recheckInterval)
	default:
		return r.spread(unreportedInterval)
	}
}

// spread returns the interval, or a longer one if there are more jobs than can be read in it.
func (r *reader) spread(interval time.Duration) time.Duration {
	return max(interval, time.Duration(r.all.readJobs())*time.Second/maxReads)
}
