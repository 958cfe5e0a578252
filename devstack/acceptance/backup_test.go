package acceptance_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/servers"
	"github.com/docmill/docmill/devstack/system"
	"github.com/docmill/docmill/devstack/testbench"
)

// backup is the directory of a backup.
type backup struct {
	dir string
	// space names the database, the vhost and the buckets.
	space servers.Space
	// replaced are the servers that the backup was made of.
	replaced *servers.Servers
}

func (b backup) file(name string) string { return filepath.Join(b.dir, name) }

// TestBackup makes both backups of section "Backup and restore" in docs/operations.md, with jobs that have ended, run, wait for
// another attempt and wait in the queue. Then it destroys all servers, and restores each backup on new ones.
func TestBackup(t *testing.T) {
	t.Parallel()
	origin := testbench.NewPrivate(t)
	// Without the key, an attempt at a job with a password fails and is repeated. A conversion that is not finished within a second
	// returns to the queue when the converter stops.
	b := setupServices(t, origin, "DOCMILL_SLOTS=1", "DOCMILL_SEAL_KEY=", "DOCMILL_DRAIN_TIMEOUT=1s")
	ended := b.load(t, ordinary()...)
	for i := range ended {
		ended[i] = b.ended(t, ended[i])
	}
	retried := b.load(t, sealed)
	b.awaitRetry(t, retried[0].job)
	running := b.load(t, long)
	b.until(t, running[0].job, client.Running)
	queued := slices.Concat(retried, running, b.load(t, append(ordinary(), sealed)...))

	online := backup{dir: t.TempDir(), space: origin.Space, replaced: origin.Servers}
	online.dump(t)
	online.copyBuckets(t)

	offline := backup{dir: t.TempDir(), space: origin.Space, replaced: origin.Servers}
	for _, service := range slices.Backward(b.system.Services()) {
		require.NoError(t, service.Stop(b.ctx))
	}
	offline.dump(t)
	require.NoError(t, origin.Servers.RabbitMQ.Stop(b.ctx))
	require.NoError(t, origin.Servers.RabbitMQ.CopyData(offline.file("rabbitmq")))
	offline.copyBuckets(t)

	require.NoError(t, origin.Servers.Stop(b.ctx))
	require.NoDirExists(t, origin.Servers.Dir())
	t.Run("with the messages", func(t *testing.T) {
		t.Parallel()
		testRestoreWithMessages(t, offline, ended, queued)
	})
	t.Run("without the messages", func(t *testing.T) {
		t.Parallel()
		testRestoreWithoutMessages(t, online, ended, queued)
	})
}

// dump backs up the database and the definitions of the broker.
func (b backup) dump(t *testing.T) {
	t.Helper()
	require.NoError(t, b.replaced.PostgreSQL.Dump(t.Context(), b.space.Vhost, b.file("docmill.dump")))
	require.NoError(t, b.replaced.RabbitMQ.Control(t.Context(), "export_definitions", b.file("definitions.json")))
}

// copyBuckets backs up the objects.
func (b backup) copyBuckets(t *testing.T) {
	t.Helper()
	for _, bucket := range []string{b.space.SourcesBucket, b.space.ResultsBucket} {
		require.NoError(t, b.replaced.MinIO.Download(t.Context(), bucket, b.file(bucket)))
	}
}

// restore starts new servers, and restores the database and the objects.
func (b backup) restore(t *testing.T, options servers.Options) *testbench.Bench {
	t.Helper()
	options.Replace = b.replaced
	fresh, err := servers.Start(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, fresh.Stop(context.WithoutCancel(t.Context())))
		require.NoError(t, os.RemoveAll(options.Dir))
	})
	require.NoError(t, fresh.PostgreSQL.Restore(t.Context(), b.space.Vhost, b.file("docmill.dump")))
	for _, bucket := range []string{b.space.SourcesBucket, b.space.ResultsBucket} {
		require.NoError(t, fresh.MinIO.Upload(t.Context(), bucket, b.file(bucket)))
	}
	return &testbench.Bench{Space: fresh.Space(b.space.Vhost), Servers: fresh}
}

// testRestoreWithMessages requires that no job notices the restore.
func testRestoreWithMessages(t *testing.T, from backup, ended, queued []accepted) {
	t.Helper()
	// A queue's data contains its path.
	b := setupServices(t, from.restore(t, servers.Options{Dir: from.replaced.Dir(), BrokerData: from.file("rabbitmq")}))
	for _, one := range ended {
		require.Equal(t, one.job.Result, b.ended(t, one).job.Result, one.file)
	}
	for _, one := range queued {
		b.ended(t, one)
	}
}

// testRestoreWithoutMessages requires that jobs which had ended are unchanged, and that the others end.
func testRestoreWithoutMessages(t *testing.T, from backup, ended, queued []accepted) {
	t.Helper()
	bench := from.restore(t, servers.Options{})
	require.NoError(t, bench.Servers.RabbitMQ.Control(t.Context(), "import_definitions", from.file("definitions.json")))

	// As if the restore took place half an hour after the backup.
	const later = "UPDATE jobs SET first_seen_at = first_seen_at - interval '30 minutes'"
	require.NoError(t, bench.Servers.PostgreSQL.ExecuteIn(t.Context(), bench.Vhost, later))
	built, err := binaries()
	require.NoError(t, err)
	options := system.Options{Space: bench.Space, Release: system.Release{Binaries: built}, LogDir: t.TempDir()}
	status := system.NewReplica(system.Status, "status", options, "DOCMILL_JOB_DEADLINE=7m")
	require.NoError(t, status.StartAnywhere(t.Context()))
	lost := 0
	for _, one := range queued {
		job, err := client.New(status.URL).Wait(t.Context(), one.job)
		var failure *client.JobError
		if errors.As(err, &failure) && failure.Code == client.CodeAttemptsExhausted {
			require.True(t, failure.Retryable)
			lost++
		} else { // it had ended before the dump
			one.requireEnd(t, job, err)
		}
	}
	require.Positive(t, lost, "some jobs had not ended")
	require.NoError(t, status.Stop(t.Context()))

	b := setupServices(t, bench)
	for _, one := range append(ended, b.load(t, append(ordinary(), sealed)...)...) {
		result := b.ended(t, one).job.Result
		require.True(t, one.job.Result == nil || *one.job.Result == *result, one.file)
	}
}

// accepted is a job that was accepted.
type accepted struct {
	conversion

	job client.Job
}

// load submits conversions.
func (b *testBundle) load(t *testing.T, conversions ...conversion) []accepted {
	t.Helper()
	var all []accepted
	for _, c := range conversions {
		job, err := b.client.SubmitFile(b.ctx, document(c.file), client.WithOptions(c.options))
		require.NoError(t, err)
		all = append(all, accepted{conversion: c, job: job})
	}
	return all
}

// ended waits until the job has ended as expected, and downloads its result, whose SHA-256 the client checks.
func (b *testBundle) ended(t *testing.T, one accepted) accepted {
	t.Helper()
	job, err := b.client.Wait(b.ctx, one.job)
	one.requireEnd(t, job, err)
	if job.Result != nil {
		require.NoError(t, b.client.Download(b.ctx, job, io.Discard), one.file)
	}
	return accepted{conversion: one.conversion, job: job}
}

// requireEnd requires that the job has ended as expected.
func (a accepted) requireEnd(t *testing.T, end client.Job, err error) {
	t.Helper()
	if a.pages == 0 {
		require.True(t, client.IsCode(err, a.code), "%s: %v", a.file, err)
		return
	}
	require.NoError(t, err, a.file)
	require.Equal(t, a.pages, end.Result.Pages, a.file)
}

// awaitRetry waits until the job waits for another attempt.
func (b *testBundle) awaitRetry(t *testing.T, job client.Job) {
	t.Helper()
	require.Eventually(t, func() bool {
		now, err := b.client.Job(b.ctx, job.ID)
		require.NoError(t, err)
		return now.Status == client.Queued && now.Attempt > 0
	}, patience, 20*time.Millisecond)
}
