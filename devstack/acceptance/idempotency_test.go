package acceptance_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/system"
	"github.com/docmill/docmill/devstack/testbench"
)

// repeats counts the answers to repeated submissions.
type repeats struct {
	base  http.RoundTripper
	count atomic.Int64
}

func (r *repeats) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.base.RoundTrip(request)
	if err == nil && response.Header.Get("Idempotent-Replayed") == "true" {
		r.count.Add(1)
	}
	return response, err
}

// submitDuplicates submits a letter that many times at once, under one key, through all of the gateways in turn. It requires
// that all answers have the same job, and that all but one say that they are repeated.
func submitDuplicates(t *testing.T, n int, urls ...string) client.Job {
	t.Helper()
	base := &http.Transport{MaxIdleConnsPerHost: n}
	t.Cleanup(base.CloseIdleConnections)
	repeated := &repeats{base: base}
	jobs, failures := make([]client.Job, n), make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		// A gateway asks some of so many clients to come again.
		c := client.New(urls[i%len(urls)], client.WithHTTPClient(&http.Client{Transport: repeated}),
			client.WithRetries(client.Retries{Tries: 100, MaxDelay: 5 * time.Second}))
		group.Go(func() {
			jobs[i], failures[i] = c.Submit(t.Context(), "letter.txt", strings.NewReader("A letter."), 9, client.WithIdempotencyKey("one letter"))
		})
	}
	group.Wait()
	for i := range n {
		require.NoError(t, failures[i])
		require.Equal(t, jobs[0].ID, jobs[i].ID)
	}
	require.EqualValues(t, n-1, repeated.count.Load())
	return jobs[0]
}

// TestConcurrentDuplicates: 1,000 duplicates through three gateways are one job, one conversion and one result.
func TestConcurrentDuplicates(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	b := setupServices(t, bench)
	urls := []string{b.system.URL()}
	built, err := binaries()
	require.NoError(t, err)
	options := system.Options{Space: bench.Space, Release: system.Release{Binaries: built}, LogDir: b.logs}
	for i := range 2 {
		one := system.NewReplica(system.Gateway, fmt.Sprintf("gateway-%d", i+2), options, "DOCMILL_STATUS_URL="+b.system.Status.URL)
		require.NoError(t, one.StartAnywhere(b.ctx))
		t.Cleanup(func() { require.NoError(t, one.Stop(context.Background())) })
		require.Eventually(t, func() bool { return one.Ready(b.ctx) == nil }, patience, 50*time.Millisecond)
		urls = append(urls, one.URL)
	}
	job := b.succeed(t, submitDuplicates(t, 1000, urls...))
	require.Equal(t, 1, job.Attempt)
	require.Len(t, storedSources(t, bench), 1)
	require.Len(t, storedResults(t, bench), 1, "each conversion stores its result under a key of its own")
	var rows int
	require.NoError(t, connectDatabase(t, bench).QueryRow(b.ctx, "SELECT count(*) FROM jobs").Scan(&rows))
	require.Equal(t, 1, rows)

	again := &repeats{base: http.DefaultTransport}
	c := client.New(urls[1], client.WithHTTPClient(&http.Client{Transport: again}))
	later, err := c.Submit(b.ctx, "letter.txt", strings.NewReader("A letter."), 9, client.WithIdempotencyKey("one letter"))
	require.NoError(t, err)
	require.Equal(t, job.ID, later.ID)
	require.Equal(t, client.Succeeded, later.Status, "the job as it is now")
}

// TestKeysSurviveADeath: the single process remembers the keys of its jobs.
func TestKeysSurviveADeath(t *testing.T) {
	t.Parallel()
	b := startEmbedded(t, filepath.Join(t.TempDir(), "data"))
	job := submitDuplicates(t, 50, b.system.URL())
	b.succeed(t, job)
	require.NoError(t, b.system.Gateway.Kill())
	require.NoError(t, b.system.Gateway.Start(b.ctx))
	again, err := b.client.Submit(b.ctx, "letter.txt", strings.NewReader("A letter."), 9, client.WithIdempotencyKey("one letter"))
	require.NoError(t, err)
	require.Equal(t, job.ID, again.ID)
	_, err = b.client.Submit(b.ctx, "letter.txt", strings.NewReader("Another."), 8, client.WithIdempotencyKey("one letter"))
	require.True(t, client.IsCode(err, client.CodeIdempotencyKeyReused))

	status, _ := b.change(t, http.MethodDelete, "/v1/jobs/"+job.ID)
	require.Equal(t, http.StatusNoContent, status)
	repeated := &repeats{base: http.DefaultTransport}
	c := client.New(b.system.URL(), client.WithHTTPClient(&http.Client{Transport: repeated}))
	_, err = c.Submit(b.ctx, "letter.txt", strings.NewReader("A letter."), 9, client.WithIdempotencyKey("one letter"))
	require.True(t, client.IsCode(err, client.CodeJobDeleted), "the key is remembered as long as the deletion")
	require.EqualValues(t, 1, repeated.count.Load())
}
