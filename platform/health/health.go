// Package health serves the admin port of a service: /healthz (the process is running), /readyz (its dependencies are
// available), /metrics and /debug/pprof. The port must be on a private network: it has no authentication.
package health

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// probeTimeout limits each probe. It is below the 5 s after which orchestrators usually abort a readiness request.
const probeTimeout = 3 * time.Second

// Check is the readiness check of a dependency.
type Check struct {
	// Name is the dependency's name in the response of /readyz.
	Name string
	// Probe returns nil if the dependency is usable. It obeys ctx and is called concurrently.
	Probe func(ctx context.Context) error
}

// report is the body of /readyz. Its error texts may contain names of hosts, which is fine on a private port.
type report struct {
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"`
}

// Handler returns the handler of the admin port.
func Handler(registry *prometheus.Registry, checks ...Check) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		result := probe(r.Context(), checks)
		if !result.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(result)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// probe probes all dependencies concurrently.
func probe(ctx context.Context, checks []Check) report {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	errs := make([]error, len(checks))
	var wait sync.WaitGroup
	for i, check := range checks {
		wait.Go(func() { errs[i] = check.Probe(ctx) })
	}
	wait.Wait()
	result := report{Ready: true, Checks: map[string]string{}}
	for i, check := range checks {
		result.Checks[check.Name] = "ok"
		if errs[i] != nil {
			result.Ready = false
			result.Checks[check.Name] = errs[i].Error()
		}
	}
	return result
}

// CheckReady returns nil if the service that listens on the admin address of this machine is ready. It is the health
// check of containers, which have no HTTP client.
func CheckReady(ctx context.Context, adminAddress string) error {
	host, port, err := net.SplitHostPort(adminAddress)
	if err != nil {
		return fmt.Errorf("setting admin-address: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // the service listens on all addresses
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout+time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", http.NoBody)
	if err != nil {
		return fmt.Errorf("query %s: %w", adminAddress, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("query %s: %w", adminAddress, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		return fmt.Errorf("not ready: %s", body)
	}
	return nil
}
