package deadline_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/services/status/internal/deadline"
	"github.com/docmill/docmill/services/status/internal/fold"
	"github.com/docmill/docmill/services/status/internal/postgres"
	"github.com/docmill/docmill/services/status/internal/postgres/postgrestest"
)

func TestMain(m *testing.M) { testbench.Main(m) }

func TestSweepEndsWhatIsOverdueOnceAllEventsAreIn(t *testing.T) {
	t.Parallel()
	store := postgrestest.Open(t, postgrestest.Config(testbench.New(t)))
	running, finished := fold.JobID(uuid.New()), fold.JobID(uuid.New())
	_, err := store.Apply(t.Context(), []fold.Event{
		submitted(running),
		fold.Moved{JobID: running, Attempt: 1, At: time.Now().UTC(), Begins: true, Status: jobapi.Running},
		submitted(finished),
		fold.Ended{JobID: finished, Attempt: 1, FinishedAt: time.Now().UTC(), Result: &fold.Result{ObjectKey: "r"}},
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
		postgrestest.Run(t, sweep.Run)
	}
	<-asked
	<-asked
	require.Equal(t, jobapi.Running, read(t, store, running).Status, "events may be waiting in the queue that end it otherwise")
	current.Store(true)
	require.Eventually(t, func() bool { return read(t, store, running).Status == jobapi.Failed }, postgrestest.Patience, time.Millisecond)
	failed := read(t, store, running)
	require.Equal(t, "attempts-exhausted", failed.Failure.Code)
	require.True(t, failed.Failure.Retryable)
	require.Equal(t, int32(1), failed.Attempt)
	require.Equal(t, jobapi.Succeeded, read(t, store, finished).Status)
}

func submitted(id fold.JobID) fold.Event {
	return fold.Submitted{JobID: id, Submission: fold.Submission{RequestedAt: time.Now().UTC(), Filename: "deck.pptx", TargetFormat: "pdf"}}
}

func read(t *testing.T, store *postgres.Store, id fold.JobID) fold.Job {
	t.Helper()
	found, err := store.Job(t.Context(), id.Job())
	require.NoError(t, err)
	return found
}
