// Package health serves the admin port of a service: /healthz, /readyz, /startupz, /metrics and /debug/pprof. The port must
// be on a private network: it has no authentication.
//
//   - /healthz answers while the process runs. An orchestrator restarts the process if it does not.
//   - /readyz says whether the service can answer its callers. It does not depend on what only some requests need: if
//     every service left the rotation with its dependencies, requests that do not need them would fail as well.
//     /readyz?verbose shows all dependencies.
//   - /startupz answers 200 once the service and all of its dependencies have worked at the same time, and from then on.
package health

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/metrics"
)

// probeTimeout limits each probe. It is below the 5 s after which orchestrators usually abort a readiness request.
const probeTimeout = 3 * time.Second

// Check is the check of a dependency.
type Check struct {
	// Name is the dependency's name in the response of /readyz and in the metric.
	Name string
	// Probe returns nil if the dependency is usable. It obeys ctx and is called concurrently.
	Probe func(ctx context.Context) error
	// Essential means that the service cannot answer its callers without the dependency. It is then not ready.
	Essential bool
}

// report is the body of /readyz and /startupz. Its error texts may contain names of hosts, which is fine on a private
// port.
type report struct {
	Ready bool `json:"ready"`
	// Phase is set if the service is not ready because it starts or stops.
	Phase string `json:"phase,omitempty"`
	// Checks are the dependencies that were probed, with "ok" or an error.
	Checks map[string]string `json:"checks"`
}

// handler is the handler of the admin port.
type handler struct {
	checks []Check
	// started means that all dependencies have worked at the same time.
	started atomic.Bool
}

// Handler returns the handler of the admin port. It registers a metric of the dependencies.
func Handler(registry *prometheus.Registry, checks ...Check) http.Handler {
	h := &handler{checks: checks}
	registry.MustRegister(collector{checks})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /readyz", h.ready)
	mux.HandleFunc("GET /startupz", h.startup)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

func (h *handler) ready(w http.ResponseWriter, r *http.Request) {
	verbose := r.URL.Query().Has("verbose")
	result := report{Phase: phases[host.PhaseOf(r.Context())], Checks: map[string]string{}}
	result.Ready = result.Phase == ""
	for _, p := range probe(r.Context(), h.checks, verbose) {
		result.Checks[p.Name] = p.text()
		result.Ready = result.Ready && (p.err == nil || !p.Essential)
	}
	answer(w, result.Ready, result)
}

func (h *handler) startup(w http.ResponseWriter, r *http.Request) {
	result := report{Ready: h.started.Load(), Checks: map[string]string{}}
	if result.Ready {
		answer(w, true, result)
		return
	}
	result.Phase = phases[host.PhaseOf(r.Context())]
	result.Ready = result.Phase == ""
	for _, p := range probe(r.Context(), h.checks, true) {
		result.Checks[p.Name] = p.text()
		result.Ready = result.Ready && p.err == nil
	}
	if result.Ready {
		h.started.Store(true)
	}
	answer(w, result.Ready, result)
}

// phases are the phases in which a service is not ready.
var phases = map[host.Phase]string{host.Starting: "starting", host.Leaving: "stopping"}

func answer(w http.ResponseWriter, ok bool, body any) {
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(body) // fails only if the client has gone
}

// probed is a check with its result.
type probed struct {
	Check

	err error
}

func (p probed) text() string {
	if p.err != nil {
		return p.err.Error()
	}
	return "ok"
}

// probe probes the essential dependencies, or all of them, concurrently.
func probe(ctx context.Context, checks []Check, all bool) []probed {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var results []probed
	for _, check := range checks {
		if all || check.Essential {
			results = append(results, probed{Check: check})
		}
	}
	var wait sync.WaitGroup
	for i := range results {
		wait.Go(func() { results[i].err = results[i].Probe(ctx) })
	}
	wait.Wait()
	return results
}

// collector is the metric of the dependencies. Each collection probes them.
type collector struct{ checks []Check }

var dependencyUp = prometheus.NewDesc(prometheus.BuildFQName(metrics.Namespace, "", "dependency_up"),
	"1 if the dependency works, 0 if it does not.", []string{"dependency"}, nil)

// Describe implements prometheus.Collector.
func (c collector) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- dependencyUp }

// Collect implements prometheus.Collector.
func (c collector) Collect(values chan<- prometheus.Metric) {
	for _, p := range probe(context.Background(), c.checks, true) {
		up := 0.0
		if p.err == nil {
			up = 1
		}
		values <- prometheus.MustNewConstMetric(dependencyUp, prometheus.GaugeValue, up, p.Name)
	}
}
