package health_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/platform/health"
	"github.com/docmill/docmill/platform/metrics"
)

func serve(t *testing.T, probe error) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(health.Handler(metrics.NewRegistry(),
		health.Check{Name: "store", Probe: func(context.Context) error { return nil }},
		health.Check{Name: "broker", Probe: func(context.Context) error { return probe }}))
	t.Cleanup(server.Close)
	return server
}

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
	server := serve(t, nil)
	status, body := get(t, server.URL+"/readyz")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"ready":true,"checks":{"store":"ok","broker":"ok"}}`, body)
	require.NoError(t, health.CheckReady(t.Context(), server.Listener.Addr().String()))
	_, body = get(t, server.URL+"/metrics")
	require.Contains(t, body, "go_goroutines")
}

func TestNotReadyNamesTheDependency(t *testing.T) {
	t.Parallel()
	server := serve(t, errors.New("blocked by a memory alarm"))
	status, body := get(t, server.URL+"/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.JSONEq(t, `{"ready":false,"checks":{"store":"ok","broker":"blocked by a memory alarm"}}`, body)
	require.ErrorContains(t, health.CheckReady(t.Context(), server.Listener.Addr().String()), "memory alarm")
	status, _ = get(t, server.URL+"/healthz")
	require.Equal(t, http.StatusOK, status, "the process itself is well")
}

func TestCheckReadyOfNothing(t *testing.T) {
	t.Parallel()
	require.Error(t, health.CheckReady(t.Context(), "127.0.0.1:1"))
	require.ErrorContains(t, health.CheckReady(t.Context(), "nonsense"), "admin-address")
}
