package status_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/docmill/docmill/contract/jobapi"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/postgres"
	"github.com/docmill/docmill/services/status/postgres/postgrestest"
)

// fast is a store whose clock is ahead of that of this process.
type fast struct {
	jobstore.Store

	by time.Duration
}

// Now implements jobstore.Store.
func (f fast) Now(ctx context.Context) (time.Time, error) {
	now, err := f.Store.Now(ctx)
	return now.Add(f.by), err
}

// TestReplicaWithWrongClock has a replica whose clock is days behind that of the database. The jobs that it ends are kept by the clock
// of the database, which the housekeeping of the other replicas uses.
func TestReplicaWithWrongClock(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	s := parse(t, l.Bench)
	jobs, err := postgres.Open(s.Database, zap.NewNop())
	require.NoError(t, err)
	const ahead = 72 * time.Hour
	r := startOn(t, fast{jobs, ahead}, s, time.Minute, zap.NewNop()).ready(t)
	succeeded, failed, canceled := l.submit(r, nil), l.submit(r, nil), l.submit(r, nil)
	l.succeed(r, succeeded)
	send(t, l.publisher, failure(failed, 0, 1))
	r.ended(t, failed)
	requireJob(t, request(t, http.MethodPost, r.url+jobapi.Path(canceled)+"/cancel"), http.StatusOK)
	for _, id := range []string{succeeded, failed, canceled} {
		j, found := r.job(t, id)
		require.True(t, found)
		require.WithinDuration(t, time.Now().Add(ahead+s.Retention), *j.ExpiresAt, time.Minute)
	}
}

// heldStore is a store that says that the clock has jumped.
type heldStore struct {
	jobstore.Store

	// hold is what is known of the jump; nil if there was none.
	hold  atomic.Pointer[hold]
	asked chan struct{}
}

type hold struct {
	// lag is zero if it is not known.
	lag time.Duration
}

// Observe implements jobstore.Store.
func (h *heldStore) Observe(ctx context.Context, jump, duration time.Duration) (jobstore.Observation, error) {
	select {
	case h.asked <- struct{}{}:
	default:
	}
	held := h.hold.Load()
	if held == nil {
		return h.Store.Observe(ctx, jump, duration)
	}
	now := time.Now()
	seen := jobstore.Observation{SeenAt: now, HeldUntil: now.Add(duration), JumpedAt: now}
	if held.lag > 0 {
		seen.Trusted = now.Add(-held.lag)
	}
	return seen, nil
}

// TestJobsDoNotExpireAfterTheClockHasJumped requires that the files of jobs that seem to have expired are kept for a while, unless they
// had expired before the jump, and that the requests of clients are carried out all the same.
func TestJobsDoNotExpireAfterTheClockHasJumped(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	s := parse(t, l.Bench)
	jobs, err := postgres.Open(s.Database, zap.NewNop())
	require.NoError(t, err)
	store := &heldStore{Store: jobs, asked: make(chan struct{}, 1)}
	store.hold.Store(&hold{})
	r := startOn(t, store, s, time.Minute, zap.NewNop()).ready(t)
	short := func(c *conversionv1.ConvertRequested) { c.Retention = durationpb.New(time.Second) }
	before, expired, deleted := l.submit(r, short), l.submit(r, short), l.submit(r, nil)
	for _, id := range []string{before, expired, deleted} {
		l.put(l.results, id+"/1.pdf")
		send(t, l.publisher, life(id)...)
	}
	r.ended(t, deleted)
	require.Equal(t, http.StatusNoContent, request(t, http.MethodDelete, r.url+jobapi.Path(deleted)).StatusCode)
	require.Eventually(t, func() bool { return !l.exists(l.sources, deleted) && !l.exists(l.results, deleted+"/1.pdf") }, patience, poll)
	for _, id := range []string{before, expired} {
		require.Eventually(t, func() bool { return get(t, r.url+jobapi.Path(id)).StatusCode == http.StatusGone }, patience, poll)
	}
	_, err = postgrestest.Connect(t, s.Database).Exec(t.Context(), `UPDATE jobs SET expires_at = expires_at - interval '3 hours',
		source_expires_at = source_expires_at - interval '3 hours', due_at = due_at - interval '3 hours' WHERE id = $1`, before)
	require.NoError(t, err)
	for range 3 {
		<-store.asked // after the jobs have expired
	}
	require.True(t, l.exists(l.sources, before))
	require.True(t, l.exists(l.sources, expired))

	store.hold.Store(&hold{lag: 2 * time.Hour})
	require.Eventually(t, func() bool { return !l.exists(l.sources, before) && !l.exists(l.results, before+"/1.pdf") }, patience, poll)
	for range 3 {
		<-store.asked
	}
	require.True(t, l.exists(l.sources, expired))
	store.hold.Store(nil)
	require.Eventually(t, func() bool { return !l.exists(l.sources, expired) && !l.exists(l.results, expired+"/1.pdf") }, patience, poll)
}
