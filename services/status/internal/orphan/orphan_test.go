package orphan_test

import (
	"context"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/cancellation"
	"github.com/docmill/docmill/contract/claim"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/directory"
	"github.com/docmill/docmill/platform/s3"
	platform "github.com/docmill/docmill/platform/sqlite"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status/internal/orphan"
	"github.com/docmill/docmill/services/status/internal/watermark"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
	"github.com/docmill/docmill/services/status/postgres/postgrestest"
	"github.com/docmill/docmill/services/status/sqlite"
)

func TestMain(m *testing.M) { testbench.Main(m) }

// bench has jobs, and the files of jobs.
type bench struct {
	*testing.T

	jobs             jobstore.Store
	sources, results blob.Bucket
	sweep            *orphan.Sweep
	// owner are the keys that the sweep puts into a bucket that belongs to no installation yet.
	owner []string
}

// forBoth runs a test with the stores of each edition.
func forBoth(t *testing.T, test func(b bench)) {
	t.Helper()
	for name, stores := range map[string]func(*testing.T) bench{"services": services, "single process": single} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(stores(t).withSweep())
		})
	}
}

// setup returns a bench with the stores of the services.
func setup(t *testing.T) bench {
	t.Helper()
	return services(t).withSweep()
}

func services(t *testing.T) bench {
	t.Helper()
	shared := testbench.New(t)
	store, err := s3.New(s3.Config{
		Endpoint: shared.StoreEndpoint, Region: shared.StoreRegion, AccessKey: shared.StoreAccessKey, SecretKey: config.NewSecret(shared.StoreSecretKey),
	})
	require.NoError(t, err)
	return bench{
		T: t, jobs: postgrestest.Open(t, postgrestest.Config(shared)),
		sources: store.Bucket(shared.SourcesBucket), results: store.Bucket(shared.ResultsBucket), owner: []string{"installation/id"},
	}
}

func single(t *testing.T) bench {
	t.Helper()
	database, err := platform.Open(t.Context(), filepath.Join(t.TempDir(), "docmill.db"), platform.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, database.Close()) })
	bucket := func() blob.Bucket {
		opened, err := directory.Open(t.TempDir())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, opened.Close()) })
		return opened
	}
	jobs := sqlite.New(database)
	storetest.Run(t, jobs.Run)
	storetest.WaitReady(t, jobs)
	return bench{T: t, jobs: jobs, sources: bucket(), results: bucket()}
}

// withSweep adds a sweep of all files that are older than the watermark: its deadline makes up for the margin.
func (b bench) withSweep() bench {
	b.sweep = orphan.New(orphan.Sweep{
		Jobs: b.jobs, Sources: b.sources, Results: b.results, JobDeadline: -watermark.SweepMargin, Every: time.Hour, Log: zap.NewNop(),
	}, prometheus.NewRegistry())
	return b
}

func (b bench) put(bucket blob.Bucket, key string) string {
	b.Helper()
	require.NoError(b, bucket.Put(b.Context(), key, strings.NewReader("abc"), 3, blob.PutOptions{}))
	return key
}

func (b bench) mark(id uuid.UUID) {
	b.Helper()
	require.NoError(b, cancellation.Mark(b.Context(), b.sources, id.String(), 0))
}

// claim stores the record of an idempotency key.
func (b bench) claim(name string, id uuid.UUID) string {
	b.Helper()
	key := claim.Prefix + name
	require.NoError(b, claim.Put(b.Context(), b.sources, &conversionv1.Claim{
		Command: &conversionv1.ConvertRequested{JobId: id.String(), ClaimKey: key}, SettledBy: timestamppb.Now(),
	}))
	return key
}

// keys returns the keys of a bucket.
func (b bench) keys(bucket blob.Bucket) []string {
	b.Helper()
	var keys []string
	for entry, err := range bucket.List(b.Context(), "", "") {
		require.NoError(b, err)
		keys = append(keys, entry.Key)
	}
	return keys
}

func (b bench) id() uuid.UUID {
	b.Helper()
	id, err := uuid.NewV7()
	require.NoError(b, err)
	return id
}

// documentOf returns the key of the document of a job: a UUID, like that of a submission.
func documentOf(id uuid.UUID) string { return uuid.NewSHA1(id, nil).String() }

// submit stores a job with a document.
func (b bench) submit() uuid.UUID {
	b.Helper()
	id := b.id()
	b.put(b.sources, documentOf(id))
	b.apply(job.Submitted{ID: job.ID(id), Submission: job.Submission{
		RequestedAt: time.Now().UTC().Truncate(time.Microsecond), ObjectKey: documentOf(id), Filename: "a.txt", Format: "txt", Size: 3, SHA256: []byte{1}, TargetFormat: "pdf",
	}})
	return id
}

// succeed ends a job with a result.
func (b bench) succeed(id uuid.UUID) string {
	b.Helper()
	key := b.put(b.results, id.String()+"/winner.pdf")
	b.apply(job.Ended{ID: job.ID(id), Status: job.Succeeded, Attempt: 1, FinishedAt: time.Now().UTC().Truncate(time.Microsecond), Result: &job.Result{ObjectKey: key, Size: 3, SHA256: []byte{1}}})
	return key
}

func (b bench) apply(event job.Event) {
	b.Helper()
	outcomes, err := b.jobs.Apply(b.Context(), []job.Event{event})
	require.NoError(b, err)
	require.True(b, outcomes[0].Changed)
}

// advance moves the watermark to the present. The store's times have whole seconds.
func (b bench) advance() {
	b.Helper()
	reached := time.Now().Add(1100 * time.Millisecond)
	require.Eventually(b, func() bool { return time.Now().After(reached) }, time.Minute, 10*time.Millisecond)
	now, err := b.jobs.Now(b.Context())
	require.NoError(b, err)
	require.NoError(b, b.jobs.Advance(b.Context(), now))
	const tick = 20 * time.Millisecond // by which the time of a new file may be behind the clock
	require.Eventually(b, func() bool { return time.Since(now) > tick }, time.Minute, tick)
}

// forgetful is a store that ignores that a blob is to be created once.
type forgetful struct{ blob.Bucket }

// Put implements blob.Bucket.
func (f forgetful) Put(ctx context.Context, key string, content io.Reader, size int64, options blob.PutOptions) error {
	options.CreateOnce = false
	return f.Bucket.Put(ctx, key, content, size, options)
}

// TestBucketOfAnotherInstallation sweeps buckets that another database uses.
func TestBucketOfAnotherInstallation(t *testing.T) {
	t.Parallel()
	own, other := setup(t), setup(t)
	own.advance()
	other.advance()
	require.NoError(t, own.sweep.Files(t.Context(), 0))
	key := own.put(own.sources, own.id().String())
	wrong := orphan.New(orphan.Sweep{
		Jobs: other.jobs, Sources: forgetful{own.sources}, Results: forgetful{own.results}, JobDeadline: -watermark.SweepMargin, Every: time.Hour, Log: zap.NewNop(),
	}, prometheus.NewRegistry())
	other.advance()
	require.ErrorContains(t, wrong.Files(t.Context(), 0), "another installation")
	require.ErrorContains(t, wrong.Claims(t.Context(), 0), "another installation")
	require.Contains(t, own.keys(own.sources), key)
	own.advance()
	require.NoError(t, own.sweep.Files(t.Context(), 0))
	require.NotContains(t, own.keys(own.sources), key)
}

// TestOnlyOrphansAreDeleted sweeps buckets with every kind of file.
func TestOnlyOrphansAreDeleted(t *testing.T) {
	t.Parallel()
	forBoth(t, testOnlyOrphansAreDeleted)
}

func testOnlyOrphansAreDeleted(b bench) {
	t := b.T
	queued, succeeded, deleted, expired, unknown := b.submit(), b.submit(), b.submit(), b.submit(), b.id()
	winner, running := b.succeed(succeeded), b.put(b.results, queued.String()+"/perhaps.pdf")
	now := time.Now().UTC().Truncate(time.Microsecond)
	b.apply(job.Removed{ID: job.ID(deleted), Reason: job.Deleted, At: now, Until: now.Add(time.Hour)})
	b.mark(deleted)
	b.succeed(expired)
	b.apply(job.Removed{ID: job.ID(expired), Reason: job.Expired, At: now, Until: now.Add(time.Hour)})
	b.apply(job.FilesRemoved{ID: job.ID(expired)}) // and yet they exist, as after a power failure
	b.mark(unknown)
	b.put(b.sources, unknown.String())
	foreign := []string{"of-another-program", "d41d8cd98f00b204e9800998ecf8427e", "canceled/notes.txt"}
	for _, key := range foreign {
		b.put(b.sources, key)
		b.put(b.results, key)
	}
	kept, orphaned := b.claim("0123", queued), b.claim("4567", unknown)
	secret := b.put(b.sources, claim.SecretKey)
	b.put(b.results, succeeded.String()+"/loser.pdf")
	b.put(b.results, unknown.String()+"/result.pdf")

	before := [][]string{b.keys(b.sources), b.keys(b.results)}
	require.NoError(t, b.sweep.Files(t.Context(), 0))
	require.NoError(t, b.sweep.Claims(t.Context(), 0))
	require.Equal(t, [][]string{b.keys(b.sources), b.keys(b.results)}, before, "without a watermark it is unknown which jobs exist")

	b.advance()
	fresh, freshResult := b.put(b.sources, b.id().String()), b.put(b.results, unknown.String()+"/fresh.pdf")
	require.NoError(t, b.sweep.Files(t.Context(), 0))
	require.Contains(t, b.keys(b.sources), orphaned, "claims have a sweep of their own")
	require.NoError(t, b.sweep.Claims(t.Context(), 0))
	left := slices.Concat(foreign, b.owner)
	require.ElementsMatch(t, append([]string{
		documentOf(queued), documentOf(succeeded), documentOf(deleted), "canceled/" + deleted.String() + ".0", kept, secret, fresh,
	}, left...), b.keys(b.sources))
	require.ElementsMatch(t, append([]string{winner, running, freshResult}, left...), b.keys(b.results))
}

// TestLateResults has results whose events had no effect. Those that cannot become the result of their job are deleted.
func TestLateResults(t *testing.T) {
	t.Parallel()
	forBoth(t, testLateResults)
}

func testLateResults(b bench) {
	t := b.T
	noon := time.Now().UTC().Truncate(time.Microsecond)
	another, canceled, deleted, retried, running, hidden := b.submit(), b.submit(), b.submit(), b.id(), b.submit(), b.id()
	winner := b.succeed(another)
	b.apply(job.Cancel(canceled, 0))
	b.apply(job.Removed{ID: job.ID(deleted), Reason: job.Deleted, At: noon, Until: noon.Add(time.Hour)})
	b.apply(job.Submitted{ID: job.ID(retried), Submission: job.Submission{
		RequestedAt: noon, ObjectKey: documentOf(retried), Filename: "a.txt", Format: "txt", SHA256: []byte{1}, TargetFormat: "pdf", Target: []byte{1},
	}})
	failed := job.Fail(retried, 0, 1, problem.New(problem.AttemptsExhausted, "No."))
	failed.ExpiresAt, failed.SourceExpiresAt = noon.Add(time.Hour), noon.Add(time.Hour)
	b.apply(failed)
	b.apply(job.Retried{ID: job.ID(retried), At: noon})
	b.succeed(hidden)
	late := b.sweep.Late()
	late.After = time.Millisecond
	drop := func(id uuid.UUID, key string) string {
		b.put(b.results, key)
		late.Dropped(job.Ended{ID: job.ID(id), Status: job.Succeeded, Result: &job.Result{ObjectKey: key}})
		return key
	}
	var gone, kept []string
	for _, id := range []uuid.UUID{another, canceled, deleted, retried} {
		gone = append(gone, drop(id, id.String()+"/late.pdf"))
	}
	late.Dropped(job.Ended{ID: job.ID(another), Status: job.Succeeded, Result: &job.Result{ObjectKey: winner}}) // a duplicate
	late.Dropped(job.Ended{ID: job.ID(another), Status: job.Failed})
	// Copies of earlier results, which no event has.
	uncertain := func(id uuid.UUID, key string) string {
		late.Uncertain(job.Ended{ID: job.ID(id), Status: job.Succeeded, Result: &job.Result{ObjectKey: key}})
		return key
	}
	gone = append(gone, uncertain(running, b.put(b.results, running.String()+"/copy.pdf")))
	unknown := b.id()
	kept = append(kept, uncertain(another, winner), uncertain(unknown, b.put(b.results, unknown.String()+"/copy.pdf")))
	kept = append(kept, winner, drop(canceled, another.String()+"/of-another-job.pdf"))
	for _, id := range []uuid.UUID{running, hidden, b.id()} {
		kept = append(kept, drop(id, id.String()+"/perhaps.pdf"))
	}
	storetest.Run(t, late.Run)
	require.Eventually(t, func() bool {
		present := b.keys(b.results)
		return !slices.ContainsFunc(gone, func(key string) bool { return slices.Contains(present, key) })
	}, time.Minute, 10*time.Millisecond)
	require.Subset(t, b.keys(b.results), kept)
}
