package acceptance_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/testbench"
)

// TestClientControlsItsJob cancels a running job, retries it, and deletes it with its result.
func TestClientControlsItsJob(t *testing.T) {
	t.Parallel()
	forBoth(t, testClientControlsItsJob)
}

func testClientControlsItsJob(t *testing.T, on edition) {
	t.Helper()
	b := setup(t, on)
	job := b.submit(t, "odftoolkit__Presentation7.odp") // takes seconds
	b.until(t, job, client.Running)
	status, canceled := b.change(t, http.MethodPost, "/v1/jobs/"+job.ID+"/cancel")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, client.Canceled, canceled.Status)
	status, again := b.change(t, http.MethodPost, "/v1/jobs/"+job.ID+"/cancel")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, canceled, again)

	status, retried := b.change(t, http.MethodPost, "/v1/jobs/"+job.ID+"/retry")
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, client.Queued, retried.Status)
	succeeded := b.succeed(t, job)
	require.Equal(t, 100, succeeded.Result.Pages)
	require.Equal(t, canceled.Attempt+1, succeeded.Attempt)
	for _, path := range []string{"/cancel", "/retry"} {
		status, _ = b.change(t, http.MethodPost, "/v1/jobs/"+job.ID+path)
		require.Equal(t, http.StatusConflict, status, path)
	}

	unfinished := b.submit(t, "odftoolkit__Presentation7.odp")
	for _, id := range []string{job.ID, unfinished.ID} {
		status, _ = b.change(t, http.MethodDelete, "/v1/jobs/"+id)
		require.Equal(t, http.StatusNoContent, status)
		for _, path := range []string{"", "/result", "/events"} {
			status, _ = b.change(t, http.MethodGet, "/v1/jobs/"+id+path)
			require.Equal(t, http.StatusGone, status, path)
		}
		status, _ = b.change(t, http.MethodDelete, "/v1/jobs/"+id)
		require.Equal(t, http.StatusGone, status)
	}
	b.succeed(t, b.submit(t, "synth-letter.txt")) // the converter works
}

// TestExpiredJob lets a job expire as soon as a client can ask for that.
func TestExpiredJob(t *testing.T) {
	t.Parallel()
	forBoth(t, testExpiredJob)
}

func testExpiredJob(t *testing.T, on edition) {
	t.Helper()
	b := setup(t, on)
	job, err := b.client.SubmitFile(b.ctx, document("synth-letter.txt"), client.WithOptions(map[string]string{"expires_in": "60"}))
	require.NoError(t, err)
	b.succeed(t, job)
	status, _ := b.change(t, http.MethodGet, "/v1/jobs/"+job.ID)
	require.Equal(t, http.StatusOK, status)
	require.Eventually(t, func() bool {
		status, _ := b.change(t, http.MethodGet, "/v1/jobs/"+job.ID+"/result")
		return status == http.StatusGone
	}, patience, time.Second)
}

// storedResults returns the keys of all results in the store.
func storedResults(t *testing.T, bench *testbench.Bench) []string {
	t.Helper()
	keys, err := bench.Servers.MinIO.Objects(t.Context(), bench.ResultsBucket)
	require.NoError(t, err)
	return slices.DeleteFunc(keys, func(key string) bool { return key == "installation/id" })
}

// change sends a request without a body, and returns the status and the job of the answer, if it has one.
func (b *testBundle) change(t *testing.T, method, path string) (int, client.Job) {
	t.Helper()
	request, err := http.NewRequestWithContext(b.ctx, method, b.system.URL()+path, http.NoBody)
	require.NoError(t, err)
	response, err := b.contract.RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var job client.Job
	if response.StatusCode < http.StatusMultipleChoices && response.Header.Get("Content-Type") == "application/json; charset=utf-8" {
		require.NoError(t, json.Unmarshal(body, &job))
	}
	return response.StatusCode, job
}
