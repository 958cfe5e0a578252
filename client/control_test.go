package client_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
)

// answerWith answers a request with that method and URL.
func answerWith(t *testing.T, method, url string, status int, body string) step {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method || r.URL.String() != url {
			t.Errorf("%s %s instead of %s %s", r.Method, r.URL, method, url)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestChangesAreRepeated(t *testing.T) {
	t.Parallel()
	c := faulty(t, cut, refuse(503, client.CodeStatusUnavailable),
		answerWith(t, "POST", "/v1/jobs/1%2F2/cancel", 200, `{"id": "1/2", "status": "canceled"}`),
		cut, answerWith(t, "POST", "/v1/jobs/1/retry", 202, `{"id": "1", "status": "queued", "generation": 1}`),
		cut, refuse(410, client.CodeJobDeleted), answerWith(t, "DELETE", "/v1/jobs/1", 204, ""),
		refuse(410, client.CodeJobExpired))
	job, err := c.Cancel(t.Context(), "1/2")
	require.NoError(t, err)
	require.Equal(t, client.Canceled, job.Status)
	job, err = c.Retry(t.Context(), "1")
	require.NoError(t, err)
	require.Equal(t, 1, job.Generation)
	require.NoError(t, c.Delete(t.Context(), "1"), "an earlier try has deleted it")
	require.NoError(t, c.Delete(t.Context(), "1"))
	require.True(t, client.IsCode(c.Delete(t.Context(), "1"), client.CodeJobExpired))
}

func TestConflictReturnsTheJob(t *testing.T) {
	t.Parallel()
	const conflict = `{"status": 409, "code": "job-not-cancelable", "job_state": {"id": "1", "status": "succeeded"}}`
	job, err := faulty(t, answerWith(t, "POST", "/v1/jobs/1/cancel", 409, conflict)).Cancel(t.Context(), "1")
	require.True(t, client.IsCode(err, client.CodeJobNotCancelable))
	require.Equal(t, client.Succeeded, job.Status)
}

func TestList(t *testing.T) {
	t.Parallel()
	filter := client.Filter{
		Statuses: []client.Status{client.Failed, client.Canceled}, Tag: "a&b",
		CreatedAfter: time.Date(2026, 3, 1, 13, 0, 0, 5e8, time.FixedZone("", 3600)), CreatedBefore: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC),
	}
	const query = "/v1/jobs?created_after=2026-03-01T12%3A00%3A00.5Z&created_before=2026-03-02T00%3A00%3A00Z&page_size=100"
	c := faulty(t,
		answerWith(t, "GET", query+"&status=failed&status=canceled&tag=a%26b", 200, `{"jobs": [{"id": "3"}, {"id": "2"}], "next_page_token": "t/1"}`),
		cut, answerWith(t, "GET", query+"&page_token=t%2F1&status=failed&status=canceled&tag=a%26b", 200, `{"jobs": [], "next_page_token": "t2"}`),
		answerWith(t, "GET", query+"&page_token=t2&status=failed&status=canceled&tag=a%26b", 200, `{"jobs": [{"id": "1"}]}`),
		answerWith(t, "GET", "/v1/jobs?page_size=100", 200, `{"jobs": [{"id": "3"}], "next_page_token": "t"}`),
		refuse(403, client.CodeListingDisabled))
	var ids []string
	for job, err := range c.List(t.Context(), filter) {
		require.NoError(t, err)
		ids = append(ids, job.ID)
	}
	require.Equal(t, []string{"3", "2", "1"}, ids)
	for job := range c.List(t.Context(), client.Filter{}) {
		require.Equal(t, "3", job.ID)
		break // no other page is requested
	}
	for _, err := range c.List(t.Context(), client.Filter{}) {
		require.True(t, client.IsCode(err, client.CodeListingDisabled))
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	stats, err := faulty(t, answerWith(t, "GET", "/v1/stats", 200, fmt.Sprintf(`{"counted_at": "2026-03-01T12:00:00Z",
		"jobs": {"queued": 1, "failed": 2}, "queue": {"oldest_waiting_seconds": 1.5, "sample": 1, "p50_seconds": %g, "p95_seconds": 3}}`, 2.5))).Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[client.Status]int64{client.Queued: 1, client.Failed: 2}, stats.Jobs)
	require.InDelta(t, 2.5, *stats.Queue.P50, 0)
}
