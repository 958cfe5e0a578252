package purge_test

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/directory"
	platform "github.com/docmill/docmill/platform/sqlite"
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/internal/purge"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
	"github.com/docmill/docmill/services/status/postgres/postgrestest"
	"github.com/docmill/docmill/services/status/sqlite"
)

func TestMain(m *testing.M) { testbench.Main(m) }

const patience = 2 * time.Minute

// stores opens a store of each implementation.
var stores = map[string]func(t *testing.T) jobstore.Store{
	"postgres": func(t *testing.T) jobstore.Store {
		t.Helper()
		return postgrestest.Open(t, postgrestest.Config(testbench.New(t)))
	},
	"sqlite": func(t *testing.T) jobstore.Store {
		t.Helper()
		db, err := platform.Open(t.Context(), filepath.Join(t.TempDir(), "docmill.db"), platform.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		store := sqlite.New(db)
		storetest.Run(t, store.Run)
		storetest.WaitReady(t, store)
		return store
	},
}

// slow is a bucket that does not delete the documents of expired jobs until it is released.
type slow struct {
	blob.Bucket

	release, blocked chan struct{}
	deleted          chan string
}

const expired = "expired-"

// Delete implements blob.Bucket.
func (s slow) Delete(ctx context.Context, key string) error {
	if strings.HasPrefix(key, expired) {
		select {
		case s.blocked <- struct{}{}:
		default:
		}
		select {
		case <-s.release:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.deleted <- key
	return s.Bucket.Delete(ctx, key)
}

func newSlow(t *testing.T, jobs int) slow {
	t.Helper()
	bucket, err := directory.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	return slow{bucket, make(chan struct{}), make(chan struct{}, 1), make(chan string, jobs)}
}

// next waits for the next value.
func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		require.FailNow(t, "nothing happened")
		panic("unreachable")
	}
}

// ended returns the events of a failed job.
func ended(id uuid.UUID, document string, expires time.Time) []job.Event {
	at := expires.Add(-time.Hour)
	return []job.Event{
		job.Submitted{ID: job.ID(id), Submission: job.Submission{
			RequestedAt: at, ObjectKey: document, Filename: "a.txt", Format: "txt", Size: 3, SHA256: []byte{1}, TargetFormat: "pdf", Target: []byte{1, 2},
		}},
		job.Ended{
			ID: job.ID(id), Status: job.Failed, Attempt: 1, FinishedAt: at, Failure: &job.Failure{Code: "document-malformed"},
			ExpiresAt: expires, SourceExpiresAt: expires,
		},
	}
}

// TestRequestsDoNotWaitForExpiredJobs requires that what clients have requested is done while several batches of expired jobs are due,
// the first of which takes forever.
func TestRequestsDoNotWaitForExpiredJobs(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const jobs = 450
			store, sources := open(t), newSlow(t, jobs)
			now := time.Now().UTC().Truncate(time.Microsecond)
			deleted, retried := uuid.New(), uuid.New()
			events := append(ended(deleted, "deleted", now.Add(time.Hour)), ended(retried, "retried", now.Add(time.Hour))...)
			for i := range jobs {
				events = append(events, ended(uuid.New(), expired+strconv.Itoa(i), now.Add(-time.Hour))...)
			}
			apply(t, store, events...)
			published := make(chan uuid.UUID, 1)
			purger := purge.New(purge.Purge{
				Jobs: store, Clock: clock.New(store, zap.NewNop()), Sources: sources, Results: sources.Bucket, Log: zap.NewNop(),
				Retention: job.Retention{Files: time.Hour, Source: time.Hour, Tombstone: time.Hour},
				Publish: func(ctx context.Context, j job.Job) error {
					_, err := store.Apply(ctx, []job.Event{job.Published{ID: job.ID(j.ID), Generation: j.Generation}})
					published <- j.ID
					return err
				},
			}, prometheus.NewRegistry())
			storetest.Run(t, purger.Run)
			next(t, sources.blocked)

			apply(t, store, job.Removed{ID: job.ID(deleted), Reason: job.Deleted, At: now, Until: now.Add(time.Hour)})
			purger.Wake()
			require.Equal(t, "deleted", next(t, sources.deleted))
			apply(t, store, job.Retried{ID: job.ID(retried), At: now.Add(-time.Hour)}) // its publication was lost
			require.Equal(t, retried, next(t, published))
			require.Empty(t, sources.deleted)
			close(sources.release)
			for range jobs {
				require.Contains(t, next(t, sources.deleted), expired)
			}
		})
	}
}

func apply(t *testing.T, store jobstore.Store, events ...job.Event) {
	t.Helper()
	outcomes, err := store.Apply(t.Context(), events)
	require.NoError(t, err)
	for _, outcome := range outcomes {
		require.Equal(t, jobstore.Outcome{Changed: true}, outcome)
	}
}
