package live_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/services/gateway/internal/live"
	"github.com/docmill/docmill/services/gateway/internal/statusclient"
)

const patience = time.Minute

// statusService is a small status service: the acceptance tests run the streams with the real one.
type statusService struct {
	mu      sync.Mutex
	jobs    map[uuid.UUID]jobapi.Status
	version map[uuid.UUID]int
	changes chan string // lines of the response to the gateway
	outage  bool
	reads   int
	hang    chan struct{} // if it is not nil, reads wait until it is closed
}

// freeze makes reads wait until the returned function is called.
func (s *statusService) freeze() (thaw func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hang = make(chan struct{})
	return sync.OnceFunc(func() { close(s.hang) })
}

func (s *statusService) frozen() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hang
}

// put stores a new version of a job with a status. If report is set, it reports the change to the gateway.
func (s *statusService) put(id uuid.UUID, status jobapi.Status, report bool) {
	s.mu.Lock()
	s.jobs[id], s.version[id] = status, s.version[id]+1
	s.mu.Unlock()
	if report {
		s.changes <- id.String()
	}
}

func (s *statusService) fail(outage bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage = outage
}

// ServeHTTP implements http.Handler.
func (s *statusService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == jobapi.ChangesPath {
		s.report(w, r)
		return
	}
	if hang := s.frozen(); hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	id, err := uuid.Parse(strings.TrimPrefix(r.URL.Path, "/v1/jobs/"))
	tag := fmt.Sprintf(`"%d"`, s.version[id])
	switch {
	case s.outage:
		problem.Write(w, r, problem.New(problem.StatusUnavailable, "The job database does not respond."))
	case err != nil || s.version[id] == 0:
		problem.Write(w, r, problem.New(problem.JobNotFound, "No job has this id."))
	case r.Header.Get("If-None-Match") == tag:
		w.WriteHeader(http.StatusNotModified)
	default:
		w.Header().Set("ETag", tag)
		fmt.Fprintf(w, "{\n\"id\": %q, \"status\": %q}", id, s.jobs[id])
	}
}

func (s *statusService) report(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	for {
		select {
		case line := <-s.changes:
			if line == "break" {
				return
			}
			fmt.Fprintln(w, line)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// bench is a server of streams.
type bench struct {
	status   *statusService
	url      string
	registry *prometheus.Registry
	handler  http.Handler
	drain    func()
}

func setup(t *testing.T, limit int) *bench {
	t.Helper()
	b := &bench{registry: prometheus.NewRegistry()}
	b.status = &statusService{jobs: map[uuid.UUID]jobapi.Status{}, version: map[uuid.UUID]int{}, changes: make(chan string)}
	server := httptest.NewServer(b.status)
	t.Cleanup(server.Close)
	client, err := statusclient.New(statusclient.Config{URL: server.URL}, nil)
	require.NoError(t, err)
	streams := live.New(client, limit, zaptest.NewLogger(t), b.registry)
	run(t, streams.Run)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{id}", func(w http.ResponseWriter, r *http.Request) {
		if err := streams.Serve(w, r, uuid.MustParse(r.PathValue("id"))); err != nil {
			problem.Write(w, r, err)
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close()) // for the server to take
	b.handler = mux
	b.url = "http://" + listener.Addr().String() + "/"
	b.drain = run(t, httpserver.Component("http", listener.Addr().String(), mux, zaptest.NewLogger(t)).Run)
	return b
}

// run runs a component until the test ends, or until the returned function drains it.
func run(t *testing.T, component func(context.Context, func(), <-chan struct{}) error) (stop func()) {
	t.Helper()
	ready, drain, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		if err := component(context.WithoutCancel(t.Context()), func() { close(ready) }, drain); err != nil {
			t.Error(err)
		}
	}()
	<-ready
	stop = sync.OnceFunc(func() {
		close(drain)
		<-ended
	})
	t.Cleanup(stop)
	return stop
}

// stream is an open stream of server-sent events.
type stream struct {
	*http.Response

	lines *bufio.Scanner
}

func (b *bench) open(t *testing.T, id uuid.UUID, lastEventID string) *stream {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+id.String(), http.NoBody)
	require.NoError(t, err)
	if lastEventID != "" {
		request.Header.Set("Last-Event-ID", lastEventID)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return &stream{response, bufio.NewScanner(response.Body)}
}

// follow opens the stream of a new job and requires its first event.
func (b *bench) follow(t *testing.T) (uuid.UUID, *stream) {
	t.Helper()
	id := uuid.New()
	b.status.put(id, jobapi.Queued, false)
	events := b.open(t, id, "")
	events.requireNext(t, "1", jobapi.Queued)
	return id, events
}

// next returns the id and the status of the next event; more is false at the end of the stream.
func (s *stream) next(t *testing.T) (id string, status jobapi.Status, more bool) {
	t.Helper()
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "data":
			var shown jobapi.Job
			require.NoError(t, json.Unmarshal([]byte(value), &shown))
			status = shown.Status
		case "":
			if id != "" { // otherwise it was a comment
				return id, status, true
			}
		}
	}
	require.NoError(t, s.lines.Err())
	return "", "", false
}

// requireNext requires the next event.
func (s *stream) requireNext(t *testing.T, id string, status jobapi.Status) {
	t.Helper()
	gotID, got, _ := s.next(t)
	require.Equal(t, id, gotID)
	require.Equal(t, status, got)
}

// requireStreams waits until n streams are open.
func (b *bench) requireStreams(t *testing.T, n float64) {
	t.Helper()
	open := func() bool {
		families, err := b.registry.Gather()
		return err == nil && families[0].GetMetric()[0].GetGauge().GetValue() == n
	}
	require.Eventually(t, open, patience, time.Millisecond)
}

func TestStreamFollowsTheJobToItsEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	id, events := b.follow(t)
	require.Equal(t, http.StatusOK, events.StatusCode)
	require.Equal(t, "text/event-stream", events.Header.Get("Content-Type"))
	require.Equal(t, "no-cache", events.Header.Get("Cache-Control"))
	b.status.put(uuid.New(), jobapi.Queued, true)
	b.status.put(id, jobapi.Running, true)
	events.requireNext(t, "2", jobapi.Running)
	b.status.put(id, jobapi.Running, false) // progress is not reported
	events.requireNext(t, "3", jobapi.Running)
	b.status.put(id, jobapi.Succeeded, true)
	events.requireNext(t, "4", jobapi.Succeeded)
	_, _, more := events.next(t)
	require.False(t, more, "it ends after the end of the job")
	b.requireStreams(t, 0)
}

func TestStreamResumes(t *testing.T) {
	t.Parallel()
	b, id := setup(t, 10), uuid.New()
	b.status.put(id, jobapi.Queued, false)
	events := b.open(t, id, "1")
	b.status.put(id, jobapi.Running, true)
	events.requireNext(t, "2", jobapi.Running) // not again the one that the client has
	b.status.put(id, jobapi.Succeeded, true)
	for _, last := range []string{"1", "2", "17", "-1", "none", `"`} {
		events := b.open(t, id, last)
		events.requireNext(t, "3", jobapi.Succeeded)
		_, _, more := events.next(t)
		require.False(t, more)
	}
	require.Equal(t, http.StatusNoContent, b.open(t, id, "3").StatusCode, "an EventSource does not connect again")
}

func TestStreamOfUnknownJob(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	require.Equal(t, http.StatusNotFound, b.open(t, uuid.New(), "").StatusCode)
}

func TestStreamSurvivesAnOutage(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	id, events := b.follow(t)
	b.status.fail(true)
	require.Equal(t, http.StatusServiceUnavailable, b.open(t, id, "").StatusCode, "a new one is refused")
	b.status.put(id, jobapi.Running, true)
	b.status.changes <- "break"
	b.status.fail(false)
	events.requireNext(t, "2", jobapi.Running)

	b.status.changes <- "break" // the next change is not reported
	b.status.put(id, jobapi.Succeeded, false)
	events.requireNext(t, "3", jobapi.Succeeded)
}

func TestStreamsEndWithTheServer(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	_, events := b.follow(t)
	b.drain()
	_, _, more := events.next(t)
	require.False(t, more)
}

func TestStreamsAreLimited(t *testing.T) {
	t.Parallel()
	b, id, ended := setup(t, 1), uuid.New(), uuid.New()
	b.status.put(id, jobapi.Queued, false)
	b.status.put(ended, jobapi.Succeeded, false)
	first := b.open(t, id, "1")
	b.requireStreams(t, 1)
	second := b.open(t, id, "1")
	require.Equal(t, http.StatusServiceUnavailable, second.StatusCode)
	require.NotEmpty(t, second.Header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, b.open(t, ended, "").StatusCode, "there is nothing to wait for")
	require.NoError(t, first.Body.Close())
	b.requireStreams(t, 0)
	require.Equal(t, http.StatusOK, b.open(t, id, "").StatusCode)
}

func TestGatewayFollowsAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	id, events := b.follow(t)
	for range 3 {
		b.status.changes <- "break"
	}
	b.status.put(id, jobapi.Failed, true) // accepted by the fourth connection
	events.requireNext(t, "2", jobapi.Failed)
}

// TestStreamsOfAJobShareItsReader checks that a change of a job is read once for all of its streams.
func TestStreamsOfAJobShareItsReader(t *testing.T) {
	t.Parallel()
	const streams = 20
	b, id := setup(t, streams), uuid.New()
	b.status.put(id, jobapi.Queued, false)
	all := make([]*stream, streams)
	for i := range all {
		all[i] = b.open(t, id, "")
		all[i].requireNext(t, "1", jobapi.Queued)
	}
	b.status.put(id, jobapi.Succeeded, true)
	for _, events := range all {
		events.requireNext(t, "2", jobapi.Succeeded)
	}
	b.requireStreams(t, 0)
	b.status.mu.Lock()
	defer b.status.mu.Unlock()
	require.Less(t, b.status.reads, streams+5, "each stream reads once at its beginning")
}

// TestDrainDoesNotWaitForTheStatusService drains while every read of a job hangs.
func TestDrainDoesNotWaitForTheStatusService(t *testing.T) {
	t.Parallel()
	b := setup(t, 200)
	id, events := b.follow(t)
	thaw := b.status.freeze()
	t.Cleanup(thaw)
	b.status.put(id, jobapi.Running, true)
	answers := make(chan int)
	const waiting = 100 // more than are read at the same time
	for range waiting {
		go func() {
			response, err := http.Get(b.url + id.String())
			if err != nil {
				answers <- 0
				return
			}
			_ = response.Body.Close()
			answers <- response.StatusCode
		}()
	}
	b.requireStreams(t, 1+waiting)
	b.drain()
	for range waiting {
		require.Equal(t, http.StatusServiceUnavailable, <-answers)
	}
	_, _, more := events.next(t)
	require.False(t, more)
}

// TestStreamInTheSameProcess follows a job where there is no connection to take over.
func TestStreamInTheSameProcess(t *testing.T) {
	t.Parallel()
	b, id := setup(t, 10), uuid.New()
	b.status.put(id, jobapi.Queued, false)
	engine := httpserver.NewEngine("test", zaptest.NewLogger(t), prometheus.NewRegistry())
	engine.Any("/:id", gin.WrapH(b.handler))
	near := http.Client{Transport: httpserver.InProcess(engine)}
	response, err := near.Get("http://near/" + id.String())
	require.NoError(t, err)
	events := &stream{response, bufio.NewScanner(response.Body)}
	require.Equal(t, "text/event-stream", events.Header.Get("Content-Type"))
	events.requireNext(t, "1", jobapi.Queued)
	b.status.put(id, jobapi.Succeeded, true)
	events.requireNext(t, "2", jobapi.Succeeded)
	_, _, more := events.next(t)
	require.False(t, more)

	other := uuid.New()
	b.status.put(other, jobapi.Queued, false)
	response, err = near.Get("http://near/" + other.String())
	require.NoError(t, err)
	b.requireStreams(t, 1)
	require.NoError(t, response.Body.Close())
	b.requireStreams(t, 0)
}
