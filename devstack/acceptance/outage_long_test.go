//go:build outage

package acceptance_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/testbench"
)

// TestLongOutageOfTheStore stops the object store for the duration OUTAGE with 60 accepted jobs in the queue. None of them
// fails.
func TestLongOutageOfTheStore(t *testing.T) {
	t.Parallel()
	outage, err := time.ParseDuration(os.Getenv("OUTAGE"))
	require.NoError(t, err, "OUTAGE")
	bench := testbench.NewPrivate(t)
	b := setupServices(t, bench)
	b.ctx = t.Context()
	accepted := make([]client.Job, 60)
	for i := range accepted {
		accepted[i] = b.submit(t, "synth-three-pages.docx")
	}
	require.NoError(t, bench.Servers.MinIO.Kill())
	time.Sleep(outage)
	require.NoError(t, bench.Servers.MinIO.Start(b.ctx))
	began := time.Now()
	attempts := map[int]int{}
	for _, job := range accepted {
		ended := b.succeed(t, job)
		require.Equal(t, 3, ended.Result.Pages)
		attempts[ended.Attempt]++
	}
	t.Logf("all %d jobs have succeeded, %s after the outage of %s; jobs by attempts: %v",
		len(accepted), time.Since(began).Round(time.Second), outage, attempts)
}
