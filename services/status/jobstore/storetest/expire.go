package storetest

import (
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/services/status/job"
)

func testExpire(t *suite) {
	store := t.start()
	ended, failedBefore, fresh := newID(t), newID(t), newID(t)
	queued, running, retrying, placeholder := newID(t), newID(t), newID(t), newID(t)
	apply(t, store, life(ended)...)
	apply(t, store, submitted(failedBefore), failed(failedBefore, 1, 1))
	apply(t, store, life(fresh)[:2]...)
	apply(t, store, life(queued)[:1]...)
	apply(t, store, life(running)[:3]...)
	apply(t, store, life(retrying)[:4]...)
	apply(t, store, started(placeholder, 1, 1))
	t.database.Backdate(t, 2*time.Hour, ended, failedBefore, queued, running, retrying, placeholder)
	advance(t, store)

	none, err := store.Expire(t.Context(), 3*time.Hour, 100, exhausted)
	require.NoError(t, err)
	require.Empty(t, none, "no job is that old")

	expired, err := store.Expire(t.Context(), time.Hour, 100, exhausted)
	require.NoError(t, err)
	before := map[uuid.UUID]job.Job{}
	for _, j := range expired {
		before[j.ID] = j
	}
	require.Equal(t, map[uuid.UUID]job.Job{
		queued:      fold(queued, life(queued)[:1]...),
		running:     fold(running, life(running)[:3]...),
		retrying:    fold(retrying, life(retrying)[:4]...),
		placeholder: fold(placeholder, started(placeholder, 1, 1)),
	}, before, "the jobs as they were before")
	for _, id := range []uuid.UUID{queued, running, retrying} {
		want, _ := job.Apply(before[id], exhausted(before[id]))
		require.Equal(t, want, read(t, store, id))
	}
	requirePlaceholder(t, store, placeholder)
	require.Equal(t, fold(ended, life(ended)...), read(t, store, ended))
	require.Equal(t, fold(failedBefore, submitted(failedBefore), failed(failedBefore, 1, 1)), read(t, store, failedBefore))
	require.Equal(t, fold(fresh, life(fresh)[:2]...), read(t, store, fresh))

	again, err := store.Expire(t.Context(), time.Hour, 100, exhausted)
	require.NoError(t, err)
	require.Empty(t, again, "a job ends once")

	apply(t, store, submitted(placeholder))
	require.Equal(t, job.Failed, read(t, store, placeholder).Status)
}

// testExpireByWatermark requires that the age of a job counts up to the watermark: an event that ends the job may still be
// in the queue.
func testExpireByWatermark(t *suite) {
	store, id := t.start(), newID(t)
	apply(t, store, submitted(id))
	t.database.Backdate(t, 24*time.Hour, id)
	now, err := store.Now(t.Context())
	require.NoError(t, err)
	expire := func(age time.Duration) int {
		expired, err := store.Expire(t.Context(), age, 100, exhausted)
		require.NoError(t, err)
		return len(expired)
	}
	require.Zero(t, expire(time.Hour), "there is no watermark")
	require.NoError(t, store.Advance(t.Context(), now.Add(-12*time.Hour)))
	require.Zero(t, expire(13*time.Hour), "the job was 12 hours old at the watermark")
	require.Equal(t, 1, expire(11*time.Hour))
}

// testExpireLimit requires that the limit is obeyed and that the oldest jobs are ended first.
func testExpireLimit(t *suite) {
	store := t.start()
	ids := make([]uuid.UUID, 5)
	for i := range ids {
		ids[i] = newID(t)
		apply(t, store, submitted(ids[i]))
		t.database.Backdate(t, time.Duration(10+i)*time.Hour, ids[i]) // the later, the older
	}
	advance(t, store)
	for _, want := range [][]uuid.UUID{{ids[4], ids[3]}, {ids[2], ids[1]}, {ids[0]}, nil} {
		expired, err := store.Expire(t.Context(), time.Hour, 2, exhausted)
		require.NoError(t, err)
		var got []uuid.UUID
		for _, j := range expired {
			got = append(got, j.ID)
		}
		require.Equal(t, want, got)
	}
}

func testExpireConcurrently(t *suite) {
	const overdue, sweeps = 30, 4
	stores := t.startReplicas(sweeps)
	ids := make([]uuid.UUID, overdue)
	for i := range ids {
		ids[i] = newID(t)
		apply(t, stores[0], life(ids[i])[:2]...)
	}
	t.database.Backdate(t, 2*time.Hour, ids...)
	advance(t, stores[0])
	seen := make(chan uuid.UUID, 2*sweeps*overdue)
	var group errgroup.Group
	for _, store := range stores {
		group.Go(func() error {
			for {
				expired, err := store.Expire(t.Context(), time.Hour, 3, exhausted)
				if len(expired) == 0 || err != nil {
					return err
				}
				for _, j := range expired {
					seen <- j.ID
				}
			}
		})
	}
	require.NoError(t, group.Wait())
	close(seen)
	count := map[uuid.UUID]int{}
	for id := range seen {
		count[id]++
	}
	for _, id := range ids {
		require.Equal(t, 1, count[id], "every job is ended exactly once")
		require.Equal(t, fold(id, append(life(id)[:2], exhausted(job.New(id)))...), read(t, stores[0], id))
	}
}
