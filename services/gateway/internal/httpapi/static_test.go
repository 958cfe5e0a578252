package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/openapi"
	"github.com/docmill/docmill/services/gateway/internal/httpapi"
)

func TestDescriptionOfTheAPI(t *testing.T) {
	t.Parallel()
	g := setup(t)
	for path, want := range map[string]struct{ contentType, policy, body string }{
		"/v1/openapi.json": {"application/json", "", string(openapi.JSON())},
		"/docs":            {"text/html; charset=utf-8", "default-src 'none'", "<!doctype html>"},
	} {
		answer := g.get(t, path, nil)
		require.Equal(t, http.StatusOK, answer.StatusCode, path)
		require.Equal(t, want.contentType, answer.Header.Get("Content-Type"), path)
		require.Equal(t, want.policy, answer.Header.Get("Content-Security-Policy"), path)
		require.Equal(t, "no-cache", answer.Header.Get("Cache-Control"), path)
		require.Equal(t, want.body, string(answer.body), path)
		known := http.Header{"If-None-Match": {answer.Header.Get("ETag")}}
		require.Equal(t, http.StatusNotModified, g.get(t, path, known).StatusCode, path)
		head, err := http.Head(g.url + path)
		require.NoError(t, err)
		require.NoError(t, head.Body.Close())
		require.Equal(t, answer.Header.Get("ETag"), head.Header.Get("ETag"), path)
		require.EqualValues(t, len(want.body), head.ContentLength, path)
	}
}

// TestEveryRouteIsDescribed compares the routes with the OpenAPI document, in which operations are listed by hand.
func TestEveryRouteIsDescribed(t *testing.T) {
	t.Parallel()
	engine := gin.New()
	httpapi.Register(engine, httpapi.Settings{MaxUploads: 1, MaxOpenUploads: 1}, httpapi.Deps{Metrics: prometheus.NewRegistry()})
	var routes []string
	for _, route := range engine.Routes() {
		routes = append(routes, route.Method+" "+strings.ReplaceAll(route.Path, ":id", "{id}"))
	}
	document, err := openapi.Read()
	require.NoError(t, err)
	var described []string
	for _, path := range document.Paths {
		for method, operation := range map[string]*openapi.Operation{"GET": path.Value.Get, "HEAD": path.Value.Head, "POST": path.Value.Post} {
			if operation != nil {
				described = append(described, method+" "+path.Name)
			}
		}
	}
	require.ElementsMatch(t, routes, described)
}
