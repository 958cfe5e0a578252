package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
)

// page requests a page of the list of jobs.
func (b bench) page(t *testing.T, query url.Values) (page jobapi.JobList) {
	t.Helper()
	got := b.mustGet(t, jobapi.JobsPath+"?"+query.Encode())
	require.Equal(t, http.StatusOK, got.StatusCode, string(got.body))
	require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
	require.NoError(t, json.Unmarshal(got.body, &page))
	return page
}

func TestList(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	require.JSONEq(t, `{"jobs": []}`, string(b.mustGet(t, jobapi.JobsPath).body))
	const jobs = 5
	var newest []string
	for range jobs {
		id := newID(t)
		newest = append([]string{id.String()}, newest...)
		b.apply(t, submitted(id), succeeded(id))
	}
	var listed []string
	query, pages := url.Values{"page_size": {"2"}, "status": {"succeeded", "failed"}}, 0
	for {
		page := b.page(t, query)
		pages++
		for _, j := range page.Jobs {
			listed = append(listed, j.ID)
			var alone jobapi.Job
			require.NoError(t, json.Unmarshal(b.mustGet(t, j.Links.Self).body, &alone))
			alone.Report = nil
			require.Equal(t, alone, j)
		}
		if page.NextPageToken == "" {
			break
		}
		query.Set("page_token", page.NextPageToken)
	}
	require.Equal(t, newest, listed)
	require.Equal(t, 3, pages)
	require.Empty(t, b.page(t, url.Values{"status": {"failed"}}).Jobs)
	require.Empty(t, b.page(t, url.Values{"page_size": {"5"}}).NextPageToken, "the last page is full")

	got := b.mustGet(t, jobapi.JobsPath+"?"+url.Values{"page_token": {query.Get("page_token")}, "status": {"lost"}}.Encode())
	var invalid problem.Answer
	require.NoError(t, json.Unmarshal(got.body, &invalid))
	require.Equal(t, problem.ParameterInvalid, invalid.Code)
	require.Equal(t, jobapi.JobsPath, invalid.Instance)
	require.Len(t, invalid.Errors, 2)
}

func TestStats(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	id := newID(t)
	b.apply(t, submitted(id), succeeded(id), submitted(newID(t)))
	got := b.mustGet(t, jobapi.StatsPath)
	require.Equal(t, http.StatusOK, got.StatusCode, string(got.body))
	var stats jobapi.Stats
	require.NoError(t, json.Unmarshal(got.body, &stats))
	require.Equal(t, jobapi.JobCounts{Queued: 1, Succeeded: 1}, stats.Jobs)
	require.Equal(t, 1, stats.Queue.Sample)
}
