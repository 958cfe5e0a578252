package httpapi_test

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
)

func allowListing(c *choices) { c.settings.AllowListing = true }

// TestListingIsOffByDefault requires that the ids of jobs, which are capabilities, are not published unless the operator says so.
func TestListingIsOffByDefault(t *testing.T) {
	t.Parallel()
	g := setup(t)
	var asked atomic.Bool
	g.status.handle(func(http.ResponseWriter, *http.Request) { asked.Store(true) })
	for _, path := range []string{jobapi.JobsPath, jobapi.JobsPath + "?status=failed", jobapi.StatsPath} {
		answer := g.get(t, path, nil)
		require.Equal(t, http.StatusForbidden, answer.StatusCode)
		require.Contains(t, string(answer.body), string(problem.ListingDisabled))
	}
	require.False(t, asked.Load())
}

// TestListingIsForwarded requires that the status service gets the query as it is, and nothing that identifies the client.
func TestListingIsForwarded(t *testing.T) {
	t.Parallel()
	g := setup(t, allowListing)
	requests := make(chan *http.Request, 1)
	g.status.handle(func(w http.ResponseWriter, r *http.Request) {
		requests <- r
		w.Header().Set("Set-Cookie", "secret=1")
		writeJSON(w, jobapi.JobList{Jobs: []jobapi.Job{}})
	})
	const query = "/v1/jobs?status=queued&status=failed&tag=a%26b+c&page_token=x"
	answer := g.get(t, query, http.Header{"Cookie": {"a=b"}, "Accept": {"application/json"}})
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.JSONEq(t, `{"jobs": []}`, string(answer.body))
	require.Empty(t, answer.Header.Get("Set-Cookie"))
	received := <-requests
	require.Equal(t, query, received.URL.String())
	require.Empty(t, received.Header.Get("Cookie"))

	g.status.handle(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, problem.New(problem.ParameterInvalid, "No.").With(problem.Field{Name: "tag", Detail: "must be a tag"}))
	})
	answer = g.get(t, jobapi.JobsPath+"?tag=x", nil)
	require.Equal(t, http.StatusBadRequest, answer.StatusCode)
	require.Equal(t, problem.ContentType, answer.Header.Get("Content-Type"))
	require.Contains(t, string(answer.body), `"must be a tag"`)
	g.status.server.Close()
	answer = g.get(t, jobapi.StatsPath, nil)
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.Contains(t, string(answer.body), string(problem.StatusUnavailable))
}
