package status_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/postgres"
	"github.com/docmill/docmill/services/status/postgres/postgrestest"
)

// slowCancels is a store that counts the reads of jobs and the cancellations, and keeps the latter waiting until open is closed.
type slowCancels struct {
	jobstore.Store

	reads, cancellations atomic.Int64
	open                 chan struct{}
}

// Job implements jobstore.Store.
func (s *slowCancels) Job(ctx context.Context, id uuid.UUID) (job.Job, error) {
	defer s.reads.Add(1)
	return s.Store.Job(ctx, id)
}

// Apply implements jobstore.Store.
func (s *slowCancels) Apply(ctx context.Context, events []job.Event) ([]jobstore.Outcome, error) {
	for _, event := range events {
		if end, ok := event.(job.Ended); ok && end.Status == job.Canceled {
			s.cancellations.Add(1)
			<-s.open
		}
	}
	return s.Store.Apply(ctx, events)
}

// TestParallelCancels cancels one job with many requests at the same time. They share one change.
func TestParallelCancels(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	s := parse(t, l.Bench)
	database, err := postgres.Open(s.Database, zap.NewNop())
	require.NoError(t, err)
	store := &slowCancels{Store: database, open: make(chan struct{})}
	r := startOn(t, store, s, time.Minute, zap.NewNop()).ready(t)
	announced := l.listen()
	id, other := l.submit(r, nil), l.submit(r, nil)

	const parallel = 200
	before := store.reads.Load()
	answers := make([]answer, parallel)
	var requests sync.WaitGroup
	for i := range parallel {
		requests.Go(func() { answers[i] = request(t, http.MethodPost, r.url+jobapi.Path(id)+"/cancel") })
	}
	require.Eventually(t, func() bool { return store.reads.Load() == before+parallel && store.cancellations.Load() > 0 }, patience, poll)
	close(store.open)
	requests.Wait()
	for _, got := range answers {
		require.Equal(t, jobapi.Canceled, requireJob(t, got, http.StatusOK).Status)
		require.Equal(t, answers[0].Body, got.Body)
	}
	// Some requests may have read the job, but not yet joined the others.
	require.Less(t, store.cancellations.Load(), int64(parallel/10))

	requireJob(t, request(t, http.MethodPost, r.url+jobapi.Path(other)+"/cancel"), http.StatusOK)
	var heard []string
	require.Eventually(t, func() bool {
		heard = append(heard, announced()...)
		return slices.Contains(heard, other)
	}, patience, poll)
	require.Len(t, slices.DeleteFunc(heard, func(one string) bool { return one != id }), 1)
}

// TestCancelOfTheNextGeneration cancels a job that was retried while its first cancellation is still being answered.
func TestCancelOfTheNextGeneration(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	s := parse(t, l.Bench)
	database, err := postgres.Open(s.Database, zap.NewNop())
	require.NoError(t, err)
	store := &slowCancels{Store: database, open: make(chan struct{})}
	slow := startOn(t, store, s, time.Minute, zap.NewNop()).ready(t)
	other := start(t, l.Bench, time.Minute).ready(t)
	id := l.submit(slow, nil)
	path := jobapi.Path(id)
	var requests sync.WaitGroup
	requests.Go(func() { request(t, http.MethodPost, slow.url+path+"/cancel") }) // its response depends on which one is applied first
	require.Eventually(t, func() bool { return store.cancellations.Load() == 1 }, patience, poll)
	requireJob(t, request(t, http.MethodPost, other.url+path+"/cancel"), http.StatusOK)
	requireJob(t, request(t, http.MethodPost, other.url+path+"/retry"), http.StatusAccepted)
	requests.Go(func() { requireJob(t, request(t, http.MethodPost, slow.url+path+"/cancel"), http.StatusOK) })
	require.Eventually(t, func() bool { return store.cancellations.Load() == 2 }, patience, poll, "it is a change of its own")
	close(store.open)
	requests.Wait()
}

// TestChangesLeaveConnectionsToPolls changes more jobs than there are connections to the database, while something has locked their
// rows.
func TestChangesLeaveConnectionsToPolls(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	const changed, atOnce = 12, 4
	r := start(t, l.Bench, time.Minute, "--database-connections=7").ready(t)
	var ids []string
	for range changed {
		ids = append(ids, l.submit(r, nil))
	}
	ended := l.submit(r, nil)
	l.succeed(r, ended)
	lock, err := postgrestest.Connect(t, postgrestest.Config(l.Bench)).Begin(t.Context())
	require.NoError(t, err)
	_, err = lock.Exec(t.Context(), "SELECT FROM jobs WHERE id = ANY($1) FOR UPDATE", ids)
	require.NoError(t, err)

	change := func(i int) answer {
		path := r.url + jobapi.Path(ids[i])
		if i%2 == 0 {
			return request(t, http.MethodDelete, path)
		}
		return request(t, http.MethodPost, path+"/cancel")
	}
	busy := make(chan answer, changed)
	var waiting sync.WaitGroup
	for i := range changed {
		waiting.Go(func() {
			if got := change(i); got.StatusCode == http.StatusServiceUnavailable {
				busy <- got
			}
		})
	}
	for range changed - atOnce {
		got := <-busy
		requireCode(t, got, problem.Busy)
		require.Equal(t, "2", got.Header.Get("Retry-After"))
	}
	for _, id := range ids {
		require.Equal(t, http.StatusOK, get(t, r.url+jobapi.Path(id)).StatusCode)
	}
	requireCode(t, request(t, http.MethodPost, r.url+jobapi.Path(ended)+"/retry"), problem.JobNotRetryable)
	require.Equal(t, http.StatusNoContent, request(t, http.MethodDelete, r.url+jobapi.Path(ended)).StatusCode, "jobs that have ended do not wait")
	require.NoError(t, lock.Rollback(t.Context()))
	waiting.Wait()
	require.Empty(t, busy)
	for i := range ids {
		require.Contains(t, []int{http.StatusOK, http.StatusNoContent, http.StatusGone}, change(i).StatusCode)
	}
}
