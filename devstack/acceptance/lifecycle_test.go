package acceptance_test

import (
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/contract/claim"
	"github.com/docmill/docmill/devstack/datadir"
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
	b.until(t, unfinished, client.Running)
	require.Len(t, b.files(t), 3, "two documents and a result")
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
	b.withoutFiles(t)
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
	b.withoutFiles(t)
}

// TestNothingRemains follows the files and the rows of jobs in the single process until nothing is left of them. Then a sweep deletes the
// orphans, but no files of others.
func TestNothingRemains(t *testing.T) {
	t.Parallel()
	b := startEmbedded(t, filepath.Join(t.TempDir(), "data"), "DOCMILL_SOURCE_RETENTION=0s", "DOCMILL_ORPHAN_SWEEP=1s")
	dir := datadir.Dir(b.data)
	succeeded := b.succeed(t, b.submit(t, "synth-letter.txt"))
	require.Eventually(t, func() bool { return len(documents(b.keys(t, datadir.Sources))) == 0 }, patience, poll, "at the end of its retention")
	require.Len(t, b.keys(t, datadir.Results), 1)

	canceled := b.submit(t, "odftoolkit__Presentation7.odp")
	b.until(t, canceled, client.Running)
	status, _ := b.change(t, http.MethodPost, "/v1/jobs/"+canceled.ID+"/cancel")
	require.Equal(t, http.StatusOK, status)
	for _, job := range []client.Job{succeeded, canceled} {
		status, _ := b.change(t, http.MethodDelete, "/v1/jobs/"+job.ID)
		require.Equal(t, http.StatusNoContent, status)
	}
	b.withoutFiles(t)
	traces := b.keys(t, datadir.Sources)
	require.Len(t, slices.DeleteFunc(slices.Clone(traces), func(key string) bool { return !claim.IsKey(key) }), 2, "they are kept as long as the rows")
	require.Contains(t, traces, "canceled/"+canceled.ID+".0")
	require.Equal(t, 2, b.rows(t))

	require.NoError(t, b.system.Gateway.Stop(b.ctx)) // cleanly: the next start deletes nothing
	requireClean(t, b)
	orphan, foreign := uuid.NewString(), "notes.txt"
	for _, bucket := range []string{datadir.Sources, datadir.Results} {
		require.NoError(t, dir.Put(bucket, foreign, nil))
	}
	require.NoError(t, dir.Put(datadir.Sources, orphan, nil))
	require.NoError(t, dir.Put(datadir.Sources, "canceled/"+orphan+".0", nil))
	require.NoError(t, dir.Put(datadir.Results, orphan+"/"+orphan+".pdf", nil))
	const old = 5 * 24 * time.Hour // older than the job deadline and the longest upload
	require.NoError(t, dir.Age(time.Now().Add(-old)))
	require.NoError(t, dir.ExpireTombstones(b.ctx))
	require.NoError(t, b.system.Gateway.Start(b.ctx))
	require.Eventually(t, func() bool { return b.rows(t) == 0 }, patience, poll)
	require.Eventually(t, func() bool {
		return slices.Equal(b.keys(t, datadir.Sources), []string{claim.SecretKey, foreign}) && slices.Equal(b.keys(t, datadir.Results), []string{foreign})
	}, patience, poll)
	require.NoError(t, b.system.Gateway.Stop(b.ctx))
	output, err := check(b)
	require.Error(t, err)
	require.Contains(t, output, foreign+" is not one of Docmill's")
	require.Contains(t, output, "2 problems")
}

// poll is how often tests look for files.
const poll = 50 * time.Millisecond

// keys returns the keys in a bucket of the single process.
func (b *testBundle) keys(t *testing.T, bucket string) []string {
	t.Helper()
	keys, err := datadir.Dir(b.data).Keys(bucket)
	require.NoError(t, err)
	return keys
}

// rows returns the number of jobs in the database of the single process.
func (b *testBundle) rows(t *testing.T) (n int) {
	t.Helper()
	err := datadir.Dir(b.data).Query(b.ctx, "SELECT count(*) FROM jobs", func(rows *sql.Rows) error { return rows.Scan(&n) })
	require.NoError(t, err)
	return n
}

// files returns the keys of all documents and results.
func (b *testBundle) files(t *testing.T) []string {
	t.Helper()
	if b.bench == nil {
		return append(documents(b.keys(t, datadir.Sources)), b.keys(t, datadir.Results)...)
	}
	return append(storedSources(t, b.bench), storedResults(t, b.bench)...)
}

// documents removes the keys of what is not a document.
func documents(sources []string) []string {
	return slices.DeleteFunc(sources, func(key string) bool { return strings.Contains(key, "/") })
}

// withoutFiles waits until there is no document and no result.
func (b *testBundle) withoutFiles(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return len(b.files(t)) == 0 }, patience, poll)
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
