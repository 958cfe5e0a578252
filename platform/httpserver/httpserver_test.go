package httpserver_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/metrics"
)

func setup(t *testing.T) (*httptest.Server, *observer.ObservedLogs, *prometheus.Registry) {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	registry := metrics.NewRegistry()
	engine := httpserver.NewEngine("test", zap.New(core), registry)
	engine.GET("/panic", func(*gin.Context) { panic("hunter2") })
	engine.GET("/fail", httpserver.Handle(func(*gin.Context) error {
		return problem.New(problem.Busy, "Full.").After(time.Second)
	}))
	engine.GET("/fine", httpserver.Handle(func(c *gin.Context) error { c.String(http.StatusOK, "fine"); return nil }))
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	return server, logs, registry
}

func TestEveryFailureIsAProblem(t *testing.T) {
	t.Parallel()
	server, logs, _ := setup(t)
	for path, want := range map[string]struct {
		method string
		status int
		code   problem.Code
	}{
		"/panic":   {"GET", 500, problem.Internal},
		"/fail":    {"GET", 503, problem.Busy},
		"/nowhere": {"GET", 404, problem.RouteNotFound},
		"/fine":    {"DELETE", 405, problem.MethodNotAllowed},
	} {
		request, err := http.NewRequestWithContext(t.Context(), want.method, server.URL+path, http.NoBody)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		var answer problem.Answer
		require.NoError(t, json.Unmarshal(body, &answer), path)
		require.Equal(t, want.status, response.StatusCode, path)
		require.Equal(t, want.code, answer.Code, path)
		require.Equal(t, problem.ContentType, response.Header.Get("Content-Type"))
		require.NotContains(t, string(body), "hunter2", "what panicked is for the log")
	}
	require.NotEmpty(t, logs.FilterMessage("handler panicked").All())
}

func TestMetricsLabelRoutesNotPaths(t *testing.T) {
	t.Parallel()
	server, _, registry := setup(t)
	for _, path := range []string{"/a", "/b", "/c"} {
		response, err := http.Get(server.URL + path)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == "docmill_http_request_duration_seconds" {
			require.Len(t, family.GetMetric(), 1, "three unknown paths are one series")
		}
	}
}

func TestDrainEndsWaitsAndFinishesRequests(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	waiting := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(waiting)
		<-httpserver.Draining(r.Context())
		_, _ = io.WriteString(w, "drained")
	})
	ready, drain, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	component := httpserver.Component("http", address, handler, zap.NewNop())
	go func() { done <- component.Run(context.Background(), func() { close(ready) }, drain) }()
	<-ready
	go func() { <-waiting; close(drain) }()
	response, err := http.Get("http://" + address)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "drained", string(body))
	require.NoError(t, <-done)
}

func TestComponentFailsIfItCannotListen(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	component := httpserver.Component("http", listener.Addr().String(), http.NotFoundHandler(), zap.NewNop())
	require.ErrorContains(t, component.Run(t.Context(), func() {}, nil), "address already in use")
}
