package deadline_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/internal/deadline"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
	"github.com/docmill/docmill/services/status/postgres/postgrestest"
)

func TestMain(m *testing.M) { testbench.Main(m) }

func TestSweepWaitsForTheWatermark(t *testing.T) {
	t.Parallel()
	settings := postgrestest.Config(testbench.New(t))
	store := postgrestest.Open(t, settings)
	running, finished := job.ID(uuid.New()), job.ID(uuid.New())
	_, err := store.Apply(t.Context(), []job.Event{
		submitted(running),
		job.AttemptUpdated{ID: running, Attempt: 1, At: time.Now().UTC(), Starts: true, Status: job.Running},
		submitted(finished),
		job.Ended{
			ID: finished, Status: job.Succeeded, Attempt: 1, FinishedAt: time.Now().UTC(), Result: &job.Result{ObjectKey: "r"},
		},
	})
	require.NoError(t, err)

	_, err = postgrestest.Connect(t, settings).Exec(t.Context(), "UPDATE jobs SET first_seen_at = first_seen_at - interval '2 hours'")
	require.NoError(t, err)
	now, err := store.Now(t.Context())
	require.NoError(t, err)
	// Two hours ago plus the deadline and the margin, less a minute.
	require.NoError(t, store.Advance(t.Context(), now.Add(-2*time.Hour+19*time.Minute+time.Hour)))

	swept := &counted{Store: store, calls: make(chan struct{}, 10_000)}
	for range 2 { // replicas
		storetest.Run(t, (&deadline.Sweep{Deadline: time.Hour, Every: time.Millisecond, Store: swept, Clock: clock.New(swept, zap.NewNop()), Log: zap.NewNop()}).Run)
	}
	for range 4 { // a call of either has ended
		<-swept.calls
	}
	require.Equal(t, job.Running, read(t, store, running).Status, "an event that ends it may still be in the queue")
	require.NoError(t, store.Advance(t.Context(), now))
	hasFailed := func() bool { return read(t, store, running).Status == job.Failed }
	require.Eventually(t, hasFailed, storetest.Patience, time.Millisecond)
	failed := read(t, store, running)
	require.Equal(t, "attempts-exhausted", failed.Failure.Code)
	require.True(t, failed.Failure.Retryable)
	require.Equal(t, int32(1), failed.Attempt)
	require.Equal(t, job.Succeeded, read(t, store, finished).Status)
}

// TestSweepDeletesWithdrawnJobs: not before all events have been applied, and not those of the last hour.
func TestSweepDeletesWithdrawnJobs(t *testing.T) {
	t.Parallel()
	settings := postgrestest.Config(testbench.New(t))
	store := postgrestest.Open(t, settings)
	old, fresh := job.ID(uuid.New()), job.ID(uuid.New())
	_, err := store.Apply(t.Context(), []job.Event{
		submitted(old), job.Withdrawn{ID: old}, submitted(fresh), job.Withdrawn{ID: fresh},
	})
	require.NoError(t, err)
	database := postgrestest.Connect(t, settings)
	_, err = database.Exec(t.Context(), "UPDATE jobs SET first_seen_at = now() - interval '61 minutes' WHERE id = $1", old.Job())
	require.NoError(t, err)
	rows := func() (ids []uuid.UUID) {
		found, err := database.Query(t.Context(), "SELECT id FROM jobs")
		require.NoError(t, err)
		ids, err = pgx.CollectRows(found, pgx.RowTo[uuid.UUID])
		require.NoError(t, err)
		return ids
	}

	swept := &counted{Store: store, calls: make(chan struct{}, 10_000)}
	storetest.Run(t, (&deadline.Sweep{Deadline: time.Hour, Every: time.Millisecond, Store: swept, Clock: clock.New(swept, zap.NewNop()), Log: zap.NewNop()}).Run)
	<-swept.calls
	<-swept.calls
	require.Len(t, rows(), 2, "an event of the job may still be in the queue")
	now, err := store.Now(t.Context())
	require.NoError(t, err)
	require.NoError(t, store.Advance(t.Context(), now))
	require.Eventually(t, func() bool { return len(rows()) == 1 }, storetest.Patience, time.Millisecond)
	require.Equal(t, []uuid.UUID{fresh.Job()}, rows())
}

// TestSweepWaitsUntilTheClocksAgree has a database whose clock has jumped, so that all jobs seem overdue.
func TestSweepWaitsUntilTheClocksAgree(t *testing.T) {
	t.Parallel()
	for name, skew := range map[string]time.Duration{"ahead": 16 * time.Minute, "behind": -16 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := postgrestest.Config(testbench.New(t))
			store := postgrestest.Open(t, settings)
			queued, withdrawn := job.ID(uuid.New()), job.ID(uuid.New())
			_, err := store.Apply(t.Context(), []job.Event{submitted(queued), submitted(withdrawn), job.Withdrawn{ID: withdrawn}})
			require.NoError(t, err)
			database := postgrestest.Connect(t, settings)
			_, err = database.Exec(t.Context(), "UPDATE jobs SET first_seen_at = first_seen_at - interval '2 hours'")
			require.NoError(t, err)
			now, err := store.Now(t.Context())
			require.NoError(t, err)
			require.NoError(t, store.Advance(t.Context(), now))
			rows := func() (n int) {
				require.NoError(t, database.QueryRow(t.Context(), "SELECT count(*) FROM jobs").Scan(&n))
				return n
			}

			skewed := &skewed{Store: store}
			skewed.by.Store(int64(skew))
			core, logs := observer.New(zap.WarnLevel)
			log := zap.New(core)
			storetest.Run(t, (&deadline.Sweep{Deadline: time.Hour, Every: time.Millisecond, Store: skewed, Clock: clock.New(skewed, log), Log: log}).Run)
			require.Eventually(t, func() bool { return skewed.asked.Load() >= 3 }, storetest.Patience, time.Millisecond)
			require.Equal(t, 1, logs.Len(), "there is one warning a minute")
			require.Equal(t, job.Queued, read(t, store, queued).Status)
			require.Equal(t, 2, rows())

			skewed.by.Store(0)
			require.Eventually(t, func() bool { return read(t, store, queued).Status == job.Failed }, storetest.Patience, time.Millisecond)
			require.Eventually(t, func() bool { return rows() == 1 }, storetest.Patience, time.Millisecond)
		})
	}
}

// skewed is a store whose clock is ahead.
type skewed struct {
	jobstore.Store

	by, asked atomic.Int64
}

func (s *skewed) Now(ctx context.Context) (time.Time, error) {
	defer s.asked.Add(1)
	now, err := s.Store.Now(ctx)
	return now.Add(time.Duration(s.by.Load())), err
}

// counted is a store that reports the sweeps.
type counted struct {
	jobstore.Store

	calls chan struct{}
}

func (c *counted) Expire(
	ctx context.Context, age time.Duration, limit int, end func(job.Job) job.Event,
) ([]job.Job, error) {
	defer func() { c.calls <- struct{}{} }()
	return c.Store.Expire(ctx, age, limit, end)
}

func submitted(id job.ID) job.Event {
	return job.Submitted{ID: id, Submission: job.Submission{
		RequestedAt: time.Now().UTC(), Filename: "deck.pptx", TargetFormat: "pdf",
	}}
}

func read(t *testing.T, store jobstore.Store, id job.ID) job.Job {
	t.Helper()
	found, err := store.Job(t.Context(), id.Job())
	require.NoError(t, err)
	return found
}
