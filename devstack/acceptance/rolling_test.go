package acceptance_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/devstack/system"
	"github.com/docmill/docmill/devstack/testbench"
)

// TestRollingRestart restarts all replicas, one at a time and under load, behind load balancers that follow /readyz. It requires
// that no connection is refused and no request is answered with 5xx, that the broker counts no delivery of a command, and that no
// conversion is repeated that had finished. Events may be redelivered, but have no attempts.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	built, err := binaries()
	require.NoError(t, err)
	f := startBalancedFleet(t, system.Release{Binaries: built})
	stop := f.load(ordinary()...)
	f.works(ordinary()...)
	for _, status := range f.statuses {
		f.roll(status)
	}
	for _, converter := range f.converters {
		f.running(long)
		f.roll(converter)
	}
	for _, gateway := range f.gateways {
		f.roll(gateway)
	}
	stop()
	f.check()
	f.requireEmptyQueues()

	succeeded := 0
	for _, job := range f.jobs {
		end := f.seen(job)
		require.EqualValues(t, 1, end.Attempt, "job %s (%s)", job.id, job.file)
		if end.Status == jobapi.Succeeded {
			succeeded++
		}
	}
	// Each attempt stores its result under a key of its own.
	results := storedResults(t, f.bench)
	require.Len(t, results, succeeded+f.streamed, "results of %d jobs", len(f.jobs))
	redelivered, err := f.bench.Servers.RabbitMQ.Redeliveries(t.Context(), f.bench.Vhost)
	require.NoError(t, err)
	require.Contains(t, redelivered, commandQueue)
	for queue, n := range redelivered {
		if strings.HasPrefix(queue, "docmill.convert.") {
			require.Zero(t, n, "redeliveries from queue %s", queue)
		}
	}
	t.Logf("%d jobs, %d results", len(f.jobs), len(results))
}

// commandQueue is the queue of new commands. The names of the others for commands begin with the same word.
const commandQueue = "docmill.convert.v1"

// startBalancedFleet starts a fleet with load balancers in front of its gateways and of its status services.
func startBalancedFleet(t *testing.T, of system.Release) *fleet {
	t.Helper()
	const drainDelay = "DOCMILL_DRAIN_DELAY=5s" // the default, which the harness sets to 0 otherwise
	f := &fleet{t: t, bench: testbench.New(t), http: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(f.http.CloseIdleConnections)
	f.statuses = f.start(of, system.Status, []string{drainDelay}, func(int) []string { return nil })
	f.converters = f.start(of, system.Converter, nil, func(int) []string {
		return []string{"DOCMILL_SLOTS=2", "DOCMILL_CONVERSION_MEMORY=512MiB"}
	})
	statusURL := balance(t, f.statuses)
	f.gateways = f.start(of, system.Gateway, []string{drainDelay}, func(int) []string { return []string{"DOCMILL_STATUS_URL=" + statusURL} })
	f.rotation = []*member{{url: balance(t, f.gateways)}}
	return f
}

// roll restarts a replica, and checks that new jobs end.
func (f *fleet) roll(one *system.Service) {
	f.t.Helper()
	require.NoError(f.t, one.Stop(f.t.Context()))
	require.NoError(f.t, one.Start(f.t.Context()))
	f.ready(one)
	f.works(ordinary()...)
}

// balancer is a load balancer that sends requests only to replicas whose /readyz answers 200.
type balancer struct {
	t        *testing.T
	replicas []*system.Service
	ready    atomic.Pointer[[]*system.Service]
	turn     atomic.Int64
}

// balance starts a load balancer and returns its URL. It fails the test for each request that a replica does not answer, or
// answers with 5xx.
func balance(t *testing.T, replicas []*system.Service) string {
	t.Helper()
	b := &balancer{t: t, replicas: replicas}
	b.ready.Store(&replicas)
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: b.rewrite, ModifyResponse: b.inspect, ErrorHandler: b.failed, FlushInterval: -1, Transport: &http.Transport{},
	})
	ctx, cancel := context.WithCancel(context.Background())
	var checking sync.WaitGroup
	checking.Go(func() { b.check(ctx) })
	t.Cleanup(func() {
		cancel()
		checking.Wait()
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// check asks all replicas whether they are ready, until ctx ends.
func (b *balancer) check(ctx context.Context) {
	const interval = 100 * time.Millisecond
	for ctx.Err() == nil {
		var ready []*system.Service
		for _, one := range b.replicas {
			if one.Accepts(ctx) == nil {
				ready = append(ready, one)
			}
		}
		b.ready.Store(&ready)
		time.Sleep(interval)
	}
}

func (b *balancer) rewrite(request *httputil.ProxyRequest) {
	ready := *b.ready.Load()
	if len(ready) == 0 {
		b.t.Errorf("no replica is ready for %s", request.In.URL.Path)
		ready = b.replicas
	}
	to, err := url.Parse(ready[int(b.turn.Add(1))%len(ready)].URL)
	if err != nil {
		b.t.Error(err)
		return
	}
	request.SetURL(to)
}

func (b *balancer) inspect(response *http.Response) error {
	if response.StatusCode >= http.StatusInternalServerError {
		b.t.Errorf("%s %s: answered with %s", response.Request.Method, response.Request.URL, response.Status)
	}
	return nil
}

func (b *balancer) failed(w http.ResponseWriter, request *http.Request, err error) {
	if !errors.Is(err, context.Canceled) { // the client is gone
		b.t.Error(fmt.Errorf("%s %s: %w", request.Method, request.URL, err))
	}
	w.WriteHeader(http.StatusBadGateway)
}
