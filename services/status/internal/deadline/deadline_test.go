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

	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/services/status/internal/deadline"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
	"github.com/docmill/docmill/services/status/postgres/postgrestest"
)

func TestMain(m *testing.M) { testbench.Main(m) }

func TestSweepWaitsForAllEvents(t *testing.T) {
	t.Parallel()
	store := postgrestest.Open(t, postgrestest.Config(testbench.New(t)))
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

	var current atomic.Bool
	asked := make(chan struct{}, 10_000)
	for range 2 { // replicas
		sweep := &deadline.Sweep{
			Deadline: time.Nanosecond, Every: time.Millisecond, Store: store, Log: zap.NewNop(),
			Current: func(context.Context) bool {
				asked <- struct{}{}
				return current.Load()
			},
		}
		storetest.Run(t, sweep.Run)
	}
	<-asked
	<-asked
	require.Equal(t, job.Running, read(t, store, running).Status, "an event that ends it may still be in the queue")
	current.Store(true)
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

	var current atomic.Bool
	asked := make(chan struct{}, 10_000)
	sweep := &deadline.Sweep{
		Deadline: time.Nanosecond, Every: time.Millisecond, Store: store, Log: zap.NewNop(),
		Current: func(context.Context) bool {
			asked <- struct{}{}
			return current.Load()
		},
	}
	storetest.Run(t, sweep.Run)
	<-asked
	<-asked
	require.Len(t, rows(), 2, "an event of the job may still be in the queue")
	current.Store(true)
	require.Eventually(t, func() bool { return len(rows()) == 1 }, storetest.Patience, time.Millisecond)
	require.Equal(t, []uuid.UUID{fresh.Job()}, rows())
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
