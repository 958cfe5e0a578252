// Package live streams the changes of jobs to clients, as server-sent events. All streams of a gateway share one
// connection to the status service, on which it reports which jobs have changed, and all streams of a job share its
// reader.
package live

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/platform/retry"
	"github.com/docmill/docmill/services/gateway/internal/statusclient"
)

const (
	// concurrentReads limits how many jobs are read at the same time: many may have changed at once.
	concurrentReads = 64
	// firstRead limits how long a client waits for the beginning of its stream.
	firstRead = 10 * time.Second
	// tryAgain is the Retry-After when too many streams are open.
	tryAgain = 2 * time.Second
)

// Streams are the open streams. It is safe for concurrent use.
type Streams struct {
	status   *statusclient.Client
	limit    int
	gauge    prometheus.Gauge
	log      *zap.Logger
	slots    chan struct{} // for reads
	reported atomic.Bool   // the status service reports changes now
	open     sync.WaitGroup

	// ctx ends when the component has drained: no stream is open any longer, and none begins.
	ctx  context.Context //nolint:containedctx // streams outlive the requests that begin them
	stop context.CancelFunc

	mu      sync.Mutex
	count   int
	readers map[uuid.UUID]*reader
}

// New returns Streams that reads jobs from status. At most limit streams are open at a time.
func New(status *statusclient.Client, limit int, log *zap.Logger, registry prometheus.Registerer) *Streams {
	s := &Streams{
		status: status, limit: limit, log: log, slots: make(chan struct{}, concurrentReads), readers: map[uuid.UUID]*reader{},
		gauge: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: "gateway", Name: "streams", Help: "Open streams of events.",
		}),
	}
	registry.MustRegister(s.gauge)
	s.ctx, s.stop = context.WithCancel(untraced())
	return s
}

// untraced returns a context whose traces are not sampled: jobs are read every second, and not for a single request.
func untraced() context.Context {
	none := trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, Remote: true}
	return trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(none))
}

// reconnect returns the delays between connections to the status service. Every delay makes events late.
func reconnect() retry.Policy {
	return retry.Policy{Initial: 50 * time.Millisecond, Max: 2 * time.Second, Stable: 5 * time.Second}
}

// Run follows the changes of jobs until drain is closed, and then ends all streams. It is a component of package host.
func (s *Streams) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	ctx, stop := host.Context(ctx, drain)
	defer stop()
	ready() // without reports of changes, streams are slower
	_ = retry.Keep(ctx, reconnect(), s.log, "changes of jobs are not reported; retrying", func(ctx context.Context, up func()) error {
		defer s.reported.Store(false)
		return s.status.Follow(ctx, func() { up(); s.reported.Store(true) }, s)
	})
	s.stop()
	s.open.Wait() // a write takes at most writeTimeout
	return nil
}

// Serve streams the job as server-sent events: its current version, unless the client has it already, and every change
// until it has ended or the server drains. A client that connects again after the end gets 204, so that an EventSource
// stops. Serve takes over the connection, if there is one, and returns at once. If it returns an error, it has written
// nothing.
func (s *Streams) Serve(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	reader := s.join(id) // before the job is read, so that no change is missed
	s.open.Add(1)
	end := func() {
		s.leave(reader)
		s.open.Done()
	}
	var stream *eventStream
	defer func() {
		if stream == nil {
			end()
		}
	}()
	stream, err := s.begin(w, r, id, reader)
	if stream == nil {
		return err
	}
	run := func() {
		defer end()
		defer s.recovered()
		defer stream.close()
		if err := stream.follow(s.ctx, reader); err != nil {
			s.log.Debug("a stream of events ended early", zap.Stringer("job", id), zap.Error(err))
		}
	}
	if stream.outlivesHandler() {
		go run()
	} else {
		run()
	}
	return nil
}

// recovered logs a panic in a stream, which must not end the process.
func (s *Streams) recovered() {
	if cause := recover(); cause != nil {
		s.log.Error("a stream of events panicked", zap.Any("panic", cause), zap.StackSkip("stack", 1))
	}
}

// begin begins a stream with the current version of its job. It returns nil if there is an error, or nothing to stream.
// Without a reader the client cannot wait for changes.
func (s *Streams) begin(w http.ResponseWriter, r *http.Request, id uuid.UUID, reader *reader) (*eventStream, error) {
	ctx, cancel := context.WithTimeout(r.Context(), firstRead)
	defer cancel()
	draining := httpserver.Draining(ctx)
	ctx, stop := host.Context(ctx, draining)
	defer stop()
	current, err := s.read(ctx, id, 0)
	known := lastEventID(r.Header)
	switch {
	case err != nil:
		return nil, err
	case current.Status.Terminal() && current.Number == known:
		w.WriteHeader(http.StatusNoContent)
		return nil, nil //nolint:nilnil // see above
	case reader == nil && !current.Status.Terminal():
		return nil, problem.New(problem.StatusUnavailable, "Too many streams of events are open.").After(tryAgain)
	}
	stream, err := take(w, r, draining)
	if err != nil {
		return nil, err
	}
	if err := stream.begin(w.Header(), current, known); err != nil {
		stream.close()
		return nil, nil //nolint:nilnil // the client is gone
	}
	if reader != nil {
		reader.offer(current)
	}
	return stream, nil
}

// read reads a job, or returns statusclient.ErrUnchanged if that is still in the known version. Its other errors are
// problems.
func (s *Streams) read(ctx context.Context, id uuid.UUID, known int64) (statusclient.Version, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
		return s.status.Version(ctx, id, known)
	case <-ctx.Done():
		return statusclient.Version{}, statusclient.Unavailable(context.Cause(ctx)).After(tryAgain)
	}
}

// join returns the reader of a job for one more stream, or nil if too many are open. The caller must call leave.
func (s *Streams) join(id uuid.UUID) *reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count >= s.limit {
		return nil
	}
	r := s.readers[id]
	if r == nil || r.failed() {
		r = newReader(s, id)
		s.readers[id] = r
	}
	r.streams++
	s.count++
	s.gauge.Set(float64(s.count))
	return r
}

// leave ends the reader of a job with its last stream. It does nothing for nil.
func (s *Streams) leave(r *reader) {
	if r == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.streams--
	if r.streams == 0 {
		r.stop()
		if s.readers[r.id] == r { // a reader that failed was replaced
			delete(s.readers, r.id)
		}
	}
	s.count--
	s.gauge.Set(float64(s.count))
}

// Wake implements [statusclient.Audience].
func (s *Streams) Wake(ids ...uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if r := s.readers[id]; r != nil {
			r.wake()
		}
	}
}

// WakeAll implements [statusclient.Audience].
func (s *Streams) WakeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.readers {
		r.wake()
	}
}

// readJobs returns the number of jobs that are read.
func (s *Streams) readJobs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.readers)
}
