package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// testWithdrawn requires that a withdrawn submission is hidden in whatever order its events arrive, also after a restart,
// until the job has another event.
func testWithdrawn(t *suite) {
	store, stop := t.startStopping()
	before, after, running := newID(t), newID(t), newID(t)
	apply(t, store, submitted(before), withdrawn(after), submitted(running), started(running, 1, 1))
	apply(t, store, withdrawn(before), submitted(after))
	require.Equal(t, []jobstore.Outcome{{}}, apply(t, store, withdrawn(running)), "a started job is not withdrawn")
	stop()
	store = t.start()
	require.Equal(t, make([]jobstore.Outcome, 4),
		apply(t, store, submitted(before), withdrawn(before), submitted(after), withdrawn(after)), "redelivery")
	requireNotFound(t, store, before)
	requireNotFound(t, store, after)
	require.Equal(t, fold(running, submitted(running), started(running, 1, 1)), read(t, store, running))

	apply(t, store, started(before, 1, 1), failed(after, 1, 1))
	require.Equal(t, fold(before, submitted(before), withdrawn(before), started(before, 1, 1)), read(t, store, before))
	require.Equal(t, fold(after, withdrawn(after), submitted(after), failed(after, 1, 1)), read(t, store, after))
}

// testDeleteWithdrawn requires that withdrawn jobs, and no others, are deleted when they are old, and never expire.
func testDeleteWithdrawn(t *suite) {
	store := t.start()
	old := make([]uuid.UUID, 5)
	for i := range old {
		old[i] = newID(t)
		apply(t, store, submitted(old[i]), withdrawn(old[i]))
	}
	alone, fresh, queued, running := newID(t), newID(t), newID(t), newID(t)
	apply(t, store, withdrawn(alone), submitted(fresh), withdrawn(fresh), submitted(queued))
	apply(t, store, submitted(running), withdrawn(running), started(running, 1, 1))
	t.database.Backdate(t, 2*time.Hour, slices.Concat(old, []uuid.UUID{alone, queued, running})...)
	none, err := store.DeleteWithdrawn(t.Context(), time.Hour, 100)
	require.NoError(t, err)
	require.Zero(t, none, "there is no watermark")
	advance(t, store)

	expired, err := store.Expire(t.Context(), time.Hour, 100, exhausted)
	require.NoError(t, err)
	var ids []uuid.UUID
	for _, j := range expired {
		ids = append(ids, j.ID)
	}
	require.ElementsMatch(t, []uuid.UUID{queued, running}, ids, "a withdrawn job is not a job that takes too long")

	none, err = store.DeleteWithdrawn(t.Context(), 3*time.Hour, 100)
	require.NoError(t, err)
	require.Zero(t, none, "no job is that old")
	for _, want := range []int{4, 2, 0} {
		deleted, err := store.DeleteWithdrawn(t.Context(), time.Hour, 4)
		require.NoError(t, err)
		require.Equal(t, want, deleted)
	}
	for _, id := range slices.Concat(old, []uuid.UUID{alone, fresh}) {
		requireNotFound(t, store, id)
	}
	require.Equal(t, job.Failed, read(t, store, queued).Status)
	require.Equal(t, job.Failed, read(t, store, running).Status)
	require.Equal(t, []jobstore.Outcome{{}, {Changed: true}}, apply(t, store, submitted(fresh), submitted(old[0])))
	requireNotFound(t, store, fresh)
	require.Equal(t, fold(old[0], submitted(old[0])), read(t, store, old[0]), "nothing was left of it")
}

// testDeletedMeanwhile applies events to withdrawn jobs while these are deleted. No event may be lost, or be applied to
// another job.
func testDeletedMeanwhile(t *suite) {
	const rounds, jobs = 30, 10
	stores := t.startReplicas(2)
	for range rounds {
		ids := make([]uuid.UUID, jobs)
		var rejected, events []job.Event
		for i := range ids {
			ids[i] = newID(t)
			rejected = append(rejected, submitted(ids[i]), withdrawn(ids[i]))
			events = append(events, started(ids[i], 1, 1))
		}
		apply(t, stores[0], rejected...)
		t.database.Backdate(t, 2*time.Hour, ids...)
		advance(t, stores[0])
		var group errgroup.Group
		group.Go(func() error {
			_, err := stores[0].DeleteWithdrawn(t.Context(), time.Hour, jobs)
			return err
		})
		group.Go(func() error {
			outcomes, err := stores[1].Apply(t.Context(), events)
			for _, outcome := range outcomes {
				err = errors.Join(err, outcome.Refused)
			}
			return err
		})
		require.NoError(t, group.Wait())
		for _, id := range ids {
			apply(t, stores[0], submitted(id)) // again, if the job was deleted
			found := read(t, stores[0], id)
			require.Equal(t, job.Running, found.Status, "the event was applied before or after the deletion")
			require.Equal(t, id, found.ID)
		}
	}
}
