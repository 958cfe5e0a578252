package health_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/health"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/metrics"
)

// errAlarm is the error of a broken dependency.
var errAlarm = errors.New("blocked by a memory alarm")

// serve serves the admin port of a service that needs its store to answer its callers, and its broker for other work.
func serve(t *testing.T, store, broker func() error) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(health.Handler(metrics.NewRegistry(),
		health.Check{Name: "store", Essential: true, Probe: func(context.Context) error { return store() }},
		health.Check{Name: "broker", Probe: func(context.Context) error { return broker() }}))
	t.Cleanup(server.Close)
	return server
}

func works() error { return nil }
func fails() error { return errAlarm }

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func TestReady(t *testing.T) {
	t.Parallel()
	server := serve(t, works, works)
	status, body := get(t, server.URL+"/readyz")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"ready":true,"checks":{"store":"ok"}}`, body)
	status, body = get(t, server.URL+"/readyz?verbose")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"ready":true,"checks":{"store":"ok","broker":"ok"}}`, body)
	_, body = get(t, server.URL+"/metrics")
	require.Contains(t, body, "go_goroutines")
	require.Contains(t, body, `docmill_dependency_up{dependency="store"} 1`)
}

// TestReadyWithoutADependency has a broken dependency that callers do not need.
func TestReadyWithoutADependency(t *testing.T) {
	t.Parallel()
	server := serve(t, works, fails)
	status, body := get(t, server.URL+"/readyz?verbose")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"ready":true,"checks":{"store":"ok","broker":"blocked by a memory alarm"}}`, body)
	_, body = get(t, server.URL+"/metrics")
	require.Contains(t, body, `docmill_dependency_up{dependency="broker"} 0`)
	require.Contains(t, body, `docmill_dependency_up{dependency="store"} 1`)
}

func TestNotReadyNamesTheDependency(t *testing.T) {
	t.Parallel()
	server := serve(t, fails, works)
	status, body := get(t, server.URL+"/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.JSONEq(t, `{"ready":false,"checks":{"store":"blocked by a memory alarm"}}`, body)
	address := server.Listener.Addr().String()
	require.ErrorContains(t, health.Query(t.Context(), address, "readyz"), "memory alarm")
	require.NoError(t, health.Query(t.Context(), address, "healthz"), "the process itself is well")
}

// TestStartup checks that a service that has worked once is started, whatever happens to its dependencies.
func TestStartup(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	broken.Store(true)
	server := serve(t, works, func() error {
		if broken.Load() {
			return errAlarm
		}
		return nil
	})
	status, body := get(t, server.URL+"/startupz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, "memory alarm")
	broken.Store(false)
	status, _ = get(t, server.URL+"/startupz")
	require.Equal(t, http.StatusOK, status)
	broken.Store(true)
	status, _ = get(t, server.URL+"/startupz")
	require.Equal(t, http.StatusOK, status)
}

// TestPhases follows a service from its start to its end.
func TestPhases(t *testing.T) {
	t.Parallel()
	handler := health.Handler(metrics.NewRegistry())
	readyz := func(ctx context.Context) string {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequestWithContext(ctx, http.MethodGet, "/readyz", http.NoBody))
		return strconv.Itoa(recorder.Code) + " " + recorder.Body.String()
	}
	found := make(chan string, 3)
	stop, cancel := context.WithCancel(t.Context())
	component := host.Component{Name: "admin", Run: func(ctx context.Context, ready func(), drain <-chan struct{}) error {
		found <- readyz(ctx)
		ready()
		for answer := readyz(ctx); ; answer = readyz(ctx) {
			if strings.HasPrefix(answer, "200") {
				found <- answer
				cancel()
				break
			}
		}
		<-drain
		found <- readyz(ctx)
		return nil
	}}
	require.NoError(t, host.Run(stop, zap.NewNop(), host.Config{DrainTimeout: time.Minute}, component))
	require.Contains(t, <-found, `503 {"ready":false,"phase":"starting"`)
	require.Contains(t, <-found, `200 {"ready":true`)
	require.Contains(t, <-found, `503 {"ready":false,"phase":"stopping"`)
}

func TestQueryOfNothing(t *testing.T) {
	t.Parallel()
	require.Error(t, health.Query(t.Context(), "127.0.0.1:1", "healthz"))
	require.ErrorContains(t, health.Query(t.Context(), "nonsense", "healthz"), "admin-address")
}
