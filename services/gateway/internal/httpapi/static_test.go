package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/openapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/gateway/internal/httpapi"
	"github.com/docmill/docmill/services/gateway/internal/page"
)

func TestDescriptionOfTheAPI(t *testing.T) {
	t.Parallel()
	g := setup(t)
	plain := http.Header{"Accept-Encoding": {"identity"}}
	for path, want := range map[string]struct{ contentType, policy, body string }{
		"/v1/openapi.json": {"application/json", "", string(openapi.JSON())},
		"/docs":            {"text/html; charset=utf-8", "default-src 'none'", "<!doctype html>"},
	} {
		answer := g.get(t, path, plain)
		require.Equal(t, http.StatusOK, answer.StatusCode, path)
		require.Equal(t, want.contentType, answer.Header.Get("Content-Type"), path)
		require.Equal(t, want.policy, answer.Header.Get("Content-Security-Policy"), path)
		require.Equal(t, "no-cache", answer.Header.Get("Cache-Control"), path)
		require.Equal(t, want.body, string(answer.body), path)
		known := http.Header{"If-None-Match": {answer.Header.Get("ETag")}, "Accept-Encoding": {"identity"}}
		require.Equal(t, http.StatusNotModified, g.get(t, path, known).StatusCode, path)
		head, err := http.Head(g.url + path)
		require.NoError(t, err)
		require.NoError(t, head.Body.Close())
		require.Equal(t, answer.Header.Get("ETag"), head.Header.Get("ETag"), path)
		require.EqualValues(t, len(want.body), head.ContentLength, path)
	}
}

func TestStaticAnswersAreCompressed(t *testing.T) {
	t.Parallel()
	g := setup(t)
	get := func(encodings string) reply {
		return g.get(t, "/v1/openapi.json", http.Header{"Accept-Encoding": {encodings}})
	}
	plain := get("br, gzip;q=0")
	require.Empty(t, plain.Header.Get("Content-Encoding"))
	require.Equal(t, openapi.JSON(), plain.body)
	compressed := get("br;q=1.0, GZIP;q=0.5")
	require.Equal(t, "gzip", compressed.Header.Get("Content-Encoding"))
	require.EqualValues(t, len(compressed.body), compressed.ContentLength)
	require.Less(t, len(compressed.body), len(plain.body)/5)
	reader, err := gzip.NewReader(bytes.NewReader(compressed.body))
	require.NoError(t, err)
	unpacked, err := io.ReadAll(reader)
	require.NoError(t, err)
	require.Equal(t, plain.body, unpacked)
	for _, answer := range []reply{plain, compressed} {
		require.Equal(t, "Accept-Encoding", answer.Header.Get("Vary"))
	}
	require.NotEqual(t, plain.Header.Get("ETag"), compressed.Header.Get("ETag"))
	known := http.Header{"If-None-Match": {compressed.Header.Get("ETag")}, "Accept-Encoding": {"gzip"}}
	require.Equal(t, http.StatusNotModified, g.get(t, "/v1/openapi.json", known).StatusCode)
}

// TestTheWebPage checks that the page is served with its policy, and that it has taken no path of the API.
func TestTheWebPage(t *testing.T) {
	t.Parallel()
	g := setup(t)
	total := 0
	web, err := page.Render()
	require.NoError(t, err)
	for _, file := range web.Files {
		for _, path := range file.Paths {
			answer := g.get(t, strings.ReplaceAll(path, ":id", "%3Cscript%3E"), http.Header{"Accept-Encoding": {"gzip"}})
			require.Equal(t, http.StatusOK, answer.StatusCode, path)
			require.Equal(t, file.ContentType, answer.Header.Get("Content-Type"), path)
			require.Equal(t, web.Policy, answer.Header.Get("Content-Security-Policy"), path)
			require.Equal(t, "nosniff", answer.Header.Get("X-Content-Type-Options"), path)
			if path != "/" {
				total += len(answer.body)
			}
		}
	}
	require.Less(t, total, 40<<10)
	for _, path := range []string{"/index.html", "/jobs", "/jobs/", "/jobs/1/result", "/assets/", "/assets/page.go"} {
		g.get(t, path, nil).problem(t, problem.RouteNotFound)
	}
	g.request(t, http.MethodPost, "/", nil, nil).problem(t, problem.MethodNotAllowed)
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
		for method, operation := range map[string]*openapi.Operation{
			"GET": path.Value.Get, "HEAD": path.Value.Head, "POST": path.Value.Post, "DELETE": path.Value.Delete,
		} {
			if operation != nil {
				described = append(described, method+" "+path.Name)
			}
		}
	}
	require.ElementsMatch(t, routes, described)
}
