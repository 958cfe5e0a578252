// Package live streams the changes of jobs to clients, as server-sent events. All streams of a gateway share one
// connection to the status service, on which it reports which jobs have changed.
package live

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/platform/retry"
	"github.com/docmill/docmill/platform/watch"
	"github.com/docmill/docmill/services/gateway/internal/statusclient"
)

const (
	// progressInterval is how often a running job is read: its progress is not reported as a change.
	progressInterval = time.Second
	// recheckInterval is how often another job is read, in case the report of a change was lost.
	recheckInterval = 30 * time.Second
	// unreportedInterval takes its place while changes are not reported.
	unreportedInterval = 5 * time.Second
	// outageInterval is the time between two tries to read a job.
	outageInterval = 2 * time.Second
	// maxReads limits the jobs that are read per second in all streams together, without those that have changed. With
	// more streams, each waits longer.
	maxReads = 2000
	// concurrentReads limits the reads at the same time: many jobs may have changed at once.
	concurrentReads = 64
)

// Streams are the open streams. It is safe for concurrent use.
type Streams struct {
	status   *statusclient.Client
	waiters  *watch.Waiters
	reads    chan struct{}
	reported atomic.Bool // changes are reported now
	open     sync.WaitGroup
	log      *zap.Logger
}

// New returns Streams that reads jobs from status. At most limit streams are open at a time.
func New(status *statusclient.Client, limit int, log *zap.Logger, registry prometheus.Registerer) *Streams {
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: metrics.Namespace, Subsystem: "gateway", Name: "streams", Help: "Open streams of events.",
	})
	registry.MustRegister(gauge)
	return &Streams{
		status: status, waiters: watch.New(limit, recheckInterval, gauge), reads: make(chan struct{}, concurrentReads), log: log,
	}
}

// reconnect are the delays between connections. Every delay makes events late.
func reconnect() retry.Policy {
	return retry.Policy{Initial: 50 * time.Millisecond, Max: 2 * time.Second, Stable: 5 * time.Second}
}

// Run follows the changes of jobs until drain is closed. It is a component of package host.
func (s *Streams) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	ctx, stop := host.Context(ctx, drain)
	defer stop()
	ready() // without changes, streams are slower
	_ = retry.Keep(ctx, reconnect(), s.log, "changes of jobs are not reported; retrying", func(ctx context.Context, up func()) error {
		defer s.reported.Store(false)
		return s.status.Follow(ctx, func() { up(); s.reported.Store(true) }, s.waiters)
	})
	s.open.Wait() // the server has drained before, so that they end
	return nil
}

// Serve streams the job as server-sent events: its current version, unless the client has it already, and every change
// until it has ended or the server drains. A client that connects again after the end gets 204, so that an EventSource
// stops. Serve takes over the connection and returns at once. If it returns an error, it has written nothing.
func (s *Streams) Serve(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	waiter, full := s.waiters.Join(id) // before the job is read, so that no change is missed
	stream, current, err := s.begin(w, r, id, full)
	if stream == nil {
		waiter.Leave()
		return err
	}
	draining := httpserver.Draining(r.Context())
	s.open.Go(func() { //nolint:contextcheck // the request's context ends when Serve returns
		defer waiter.Leave()
		defer stream.close()
		s.follow(stream, waiter, id, current, draining)
	})
	return nil
}

// begin begins the stream of a job with its current version. It returns no stream if there is an error, or nothing to
// stream. full is the reason why the client cannot wait for changes, or nil.
func (s *Streams) begin(w http.ResponseWriter, r *http.Request, id uuid.UUID, full error) (*eventStream, statusclient.Version, error) {
	current, err := s.read(r.Context(), id, "")
	known := r.Header.Get("Last-Event-ID")
	switch {
	case err != nil:
		return nil, current, err
	case current.Status.Terminal() && current.ID == known:
		w.WriteHeader(http.StatusNoContent)
		return nil, current, nil
	case full != nil && !current.Status.Terminal():
		err := problem.New(problem.StatusUnavailable, "Too many streams of events are open.").After(outageInterval).Because(full)
		return nil, current, err
	}
	stream, err := take(w)
	if err != nil {
		return nil, current, err
	}
	if err := stream.begin(w.Header(), current, known); err != nil {
		stream.close()           // the client is gone
		return nil, current, nil //nolint:nilerr // and needs no answer
	}
	current.JSON = nil // 10,000 of them would count
	return stream, current, nil
}

// follow sends each new version of a job until it has ended, the server drains or the client is gone.
func (s *Streams) follow(
	stream *eventStream, waiter *watch.Waiter, id uuid.UUID, current statusclient.Version, draining <-chan struct{},
) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go stream.awaitClient(cancel)
	read := time.Now().Add(s.interval(current.Status))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !current.Status.Terminal() {
		timer.Reset(time.Until(earlier(read, stream.keepAlive())))
		select {
		case <-waiter.Woken():
			read = time.Now()
		case <-timer.C:
		case <-draining:
			return
		case <-ctx.Done():
			return
		}
		var err error
		if time.Now().Before(read) {
			err = stream.comment()
		} else {
			read, err = s.update(ctx, stream, id, &current)
		}
		if err != nil {
			return
		}
	}
}

// update sends the job's version if it is a new one, and returns when to read the next. It fails if the stream must end.
func (s *Streams) update(ctx context.Context, stream *eventStream, id uuid.UUID, current *statusclient.Version) (next time.Time, err error) {
	latest, err := s.read(ctx, id, current.ID)
	var known *problem.Error
	switch {
	case err == nil:
		err = stream.send(latest)
		*current = statusclient.Version{ID: latest.ID, Status: latest.Status}
	case errors.Is(err, statusclient.ErrUnchanged):
		err = nil
	case errors.As(err, &known) && known.Code == problem.StatusUnavailable:
		// An EventSource that has to connect again would give up if it got an error.
		return time.Now().Add(outageInterval), nil
	}
	return time.Now().Add(s.interval(current.Status)), err
}

// read reads a job.
func (s *Streams) read(ctx context.Context, id uuid.UUID, known string) (statusclient.Version, error) {
	select {
	case s.reads <- struct{}{}:
		defer func() { <-s.reads }()
		return s.status.Version(ctx, id, known)
	case <-ctx.Done():
		return statusclient.Version{}, ctx.Err()
	}
}

// interval returns how long to wait before a job is read again without a report of its change.
func (s *Streams) interval(status jobapi.Status) time.Duration {
	wait := recheckInterval
	switch {
	case status == jobapi.Running:
		wait = progressInterval
	case !s.reported.Load():
		wait = unreportedInterval
	}
	return max(wait, time.Duration(s.waiters.Count())*time.Second/maxReads)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
