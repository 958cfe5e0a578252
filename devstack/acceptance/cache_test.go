package acceptance_test

import (
	"bytes"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/system"
	"github.com/docmill/docmill/devstack/testbench"
)

// setupCache starts a Docmill that reuses results.
func setupCache(t *testing.T, on edition) *testBundle {
	t.Helper()
	reuse := []string{"DOCMILL_CACHE=on"}
	options := system.Options{Env: map[string][]string{system.Gateway: reuse, system.Embedded: reuse}}
	if on == embedded {
		options.Data = filepath.Join(t.TempDir(), "data")
	} else {
		options.Space = testbench.New(t).Space
	}
	return start(t, on, options)
}

// submitUntilCached submits a document until it is not converted: the gateway may not have heard of the converter yet.
func (b *testBundle) submitUntilCached(t *testing.T, name string) client.Job {
	t.Helper()
	var job client.Job
	require.Eventually(t, func() bool {
		job = b.succeed(t, b.submit(t, name))
		return job.Report.Cached
	}, patience, time.Second)
	return job
}

// TestResultsAreReused: the same document with the same options is converted once, and the jobs are independent of each other.
func TestResultsAreReused(t *testing.T) {
	t.Parallel()
	forBoth(t, testResultsAreReused)
}

func testResultsAreReused(t *testing.T, on edition) {
	t.Helper()
	b := setupCache(t, on)
	const document = "synth-letter.txt"
	b.submitUntilCached(t, document)
	deleted := b.submitUntilCached(t, document)
	copied := b.submit(t, document)
	require.Equal(t, client.Succeeded, copied.Status, "in the answer to the submission")
	copied = b.succeed(t, copied)
	require.True(t, copied.Report.Cached)
	require.Zero(t, copied.Attempt)
	require.Equal(t, deleted.Result.SHA256, copied.Result.SHA256)
	require.NotEqual(t, deleted.ID, copied.ID)

	other, err := b.submitWith(document, map[string]string{"paper": "a5"})
	if err == nil { // an option that this document does not have is refused
		require.False(t, b.succeed(t, other).Report.Cached, "other options")
	}
	other, err = b.submitWith(document, map[string]string{"to": "odt"})
	require.NoError(t, err)
	require.False(t, b.succeed(t, other).Report.Cached, "another target")

	status, _ := b.change(t, http.MethodDelete, "/v1/jobs/"+deleted.ID)
	require.Equal(t, http.StatusNoContent, status)
	var result bytes.Buffer
	require.NoError(t, b.client.Download(b.ctx, copied, &result))
	require.EqualValues(t, copied.Result.Size, result.Len())
}
