package storetest

import (
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// housekeepingCases are the cases of [jobstore.Housekeeping].
func housekeepingCases() map[string]func(t *suite) {
	return map[string]func(t *suite){
		"Generations":         testGenerations,
		"Gone":                testGone,
		"NotificationsOfGone": testNotificationsOfGone,
		"Due":                 testDue,
		"DueRequests":         testDueRequests,
		"DueConcurrently":     testDueConcurrently,
		"Keep":                testKeep,
		"Jobs":                testJobs,
		"Claim":               testClaim,
		"Observe":             testObserve,
		"ObserveCorrections":  testObserveCorrections,
		"ObserveAgain":        testObserveAgain,
		"ObserveReplicas":     testObserveReplicas,
	}
}

// retryable returns the submission of a job that can be retried.
func retryable(id uuid.UUID) job.Event {
	event, _ := submitted(id).(job.Submitted)
	event.Submission.Target, event.Submission.ClaimKey = []byte{1, 2}, "claims/"+id.String()
	return event
}

// kept returns an end whose files expire at a time.
func kept(event job.Event, expires time.Time) job.Event {
	end, _ := event.(job.Ended)
	end.ExpiresAt, end.SourceExpiresAt = expires, expires
	return end
}

// testGenerations retries a job, and requires that its deadline begins again.
func testGenerations(t *suite) {
	store := t.start()
	id, idle := newID(t), newID(t)
	future := time.Now().UTC().Truncate(time.Microsecond).Add(time.Hour)
	history := []job.Event{retryable(id), started(id, 1, 1), kept(failed(id, 1, 2), future), job.Retried{ID: job.ID(id), At: noon}}
	apply(t, store, submitted(idle))
	apply(t, store, history[:3]...)
	t.database.Backdate(t, 2*time.Hour, id, idle)
	apply(t, store, history[3])
	advance(t, store)
	require.Equal(t, fold(id, history...), read(t, store, id))
	expired, err := store.Expire(t.Context(), time.Hour, 10, exhausted)
	require.NoError(t, err)
	require.Len(t, expired, 1)
	require.Equal(t, idle, expired[0].ID)

	require.Equal(t, []jobstore.Outcome{{}, {}}, apply(t, store, succeeded(id, 9, 3), started(id, 9, 3)), "of the first generation")
	again, _ := started(id, 2, 4).(job.AttemptUpdated)
	again.Generation = 1
	require.Equal(t, []jobstore.Outcome{{Changed: true}}, apply(t, store, again))
	require.Equal(t, fold(id, append(history, again)...), read(t, store, id))
}

// testGone requires that a tombstone is not shown, that no event revives it, and that it is deleted after its files.
func testGone(t *suite) {
	store, stop := t.startStopping()
	id := newID(t)
	removed := job.Removed{ID: job.ID(id), Reason: job.Deleted, At: noon, Until: at(60)}
	apply(t, store, retryable(id), started(id, 1, 1), removed)
	gone := func(store jobstore.Store) job.Job {
		found, err := store.Job(t.Context(), id)
		require.ErrorIs(t, err, jobstore.ErrGone)
		return found
	}
	require.Equal(t, fold(id, retryable(id), started(id, 1, 1), removed), gone(store))
	stop()
	store = t.start()
	late := []job.Event{retryable(id), started(id, 2, 2), succeeded(id, 2, 3), failed(id, 2, 3), withdrawn(id)}
	require.Equal(t, make([]jobstore.Outcome, len(late)), apply(t, store, late...))
	gone(store)

	forgotten, err := store.Forget(t.Context(), []uuid.UUID{id, newID(t)})
	require.NoError(t, err)
	require.Zero(t, forgotten, "it has files")
	apply(t, store, job.FilesRemoved{ID: job.ID(id)})
	other := newID(t)
	apply(t, store, submitted(other))
	forgotten, err = store.Forget(t.Context(), []uuid.UUID{id, other})
	require.NoError(t, err)
	require.Equal(t, 1, forgotten)
	requireNotFound(t, store, id)
	require.Equal(t, other, read(t, store, other).ID)
}

// testNotificationsOfGone requires that those who wait for a job learn that it is gone.
func testNotificationsOfGone(t *suite) {
	l, store := t.listen()
	id := newID(t)
	apply(t, store, retryable(id))
	require.Equal(t, notification{id, 1}, l.next(t))
	apply(t, store, job.Removed{ID: job.ID(id), Reason: job.Deleted, At: noon, Until: at(60)})
	require.Equal(t, notification{id, 2}, l.next(t))
}

// testDue requires that jobs are returned when they are due, and once.
func testDue(t *suite) {
	store := t.start()
	past := time.Now().UTC().Truncate(time.Microsecond).Add(-time.Hour)
	var ids []uuid.UUID
	for i := range 5 {
		ids = append(ids, newID(t))
		apply(t, store, retryable(ids[i]), kept(failed(ids[i], 1, 2), past.Add(time.Duration(i)*time.Second)))
	}
	fresh, queued := newID(t), newID(t)
	apply(t, store, retryable(fresh), kept(failed(fresh, 1, 2), past.Add(2*time.Hour)), submitted(queued))
	later := past.Add(3 * time.Hour)
	lease := func(j job.Job) job.Event { return job.Leased{ID: job.ID(j.ID), Until: later} }
	var due []uuid.UUID
	for _, want := range []int{3, 2, 0} {
		none, err := store.Due(t.Context(), time.Hour+time.Minute, 3, lease)
		require.NoError(t, err)
		require.Empty(t, none)
		jobs, err := store.Due(t.Context(), 58*time.Minute, 3, lease)
		require.NoError(t, err)
		require.Len(t, jobs, want)
		for _, j := range jobs {
			require.Equal(t, later, j.DueAt, "as they are after the event")
			require.Equal(t, read(t, store, j.ID), j)
			due = append(due, j.ID)
		}
	}
	require.Equal(t, ids, due, "the oldest first")
}

// testDueRequests requires that the requests of clients are found among the jobs that are due for other reasons.
func testDueRequests(t *suite) {
	store := t.start()
	past := time.Now().UTC().Truncate(time.Microsecond).Add(-time.Hour)
	retried, deleted, cleaned, outlived, ended := newID(t), newID(t), newID(t), newID(t), newID(t)
	for i, id := range []uuid.UUID{retried, deleted, cleaned, outlived, ended} {
		apply(t, store, retryable(id), kept(failed(id, 1, 2), past.Add(time.Duration(i)*time.Second)))
	}
	apply(t, store, job.Retried{ID: job.ID(retried), At: past.Add(-time.Minute)})
	apply(t, store, job.Removed{ID: job.ID(deleted), Reason: job.Deleted, At: past, Until: past})
	apply(t, store, job.Removed{ID: job.ID(cleaned), Reason: job.Deleted, At: past, Until: past}, job.FilesRemoved{ID: job.ID(cleaned)})
	apply(t, store, job.Removed{ID: job.ID(outlived), Reason: job.Expired, At: past, Until: past})
	later := past.Add(3 * time.Hour)
	var due []uuid.UUID
	for _, want := range []int{1, 1, 0} {
		jobs, err := store.DueRequests(t.Context(), 1, func(j job.Job) job.Event { return job.Leased{ID: job.ID(j.ID), Until: later} })
		require.NoError(t, err)
		require.Len(t, jobs, want)
		for _, j := range jobs {
			require.Equal(t, later, j.DueAt)
			due = append(due, j.ID)
		}
	}
	require.Equal(t, []uuid.UUID{retried, deleted}, due, "the oldest first")
}

// testDueConcurrently requires that replicas share the work.
func testDueConcurrently(t *suite) {
	const jobs = 60
	stores := t.startReplicas(4)
	past := time.Now().UTC().Truncate(time.Microsecond).Add(-time.Hour)
	var want []uuid.UUID
	for range jobs {
		id := newID(t)
		want = append(want, id)
		apply(t, stores[0], retryable(id), kept(failed(id, 1, 2), past))
	}
	var mutex sync.Mutex
	var taken []uuid.UUID
	var group errgroup.Group
	for _, store := range stores {
		group.Go(func() error {
			for {
				found, err := store.Due(t.Context(), 0, 7, func(j job.Job) job.Event {
					return job.Removed{ID: job.ID(j.ID), Reason: job.Expired, At: past.Add(2 * time.Hour), Until: past.Add(3 * time.Hour)}
				})
				mutex.Lock()
				for _, j := range found {
					taken = append(taken, j.ID)
				}
				done := err != nil || len(taken) >= jobs
				mutex.Unlock()
				if done {
					return err
				}
			}
		})
	}
	require.NoError(t, group.Wait())
	require.ElementsMatch(t, want, taken)
}

// testKeep requires that jobs without a time of expiry get one.
func testKeep(t *suite) {
	store := t.start()
	future := time.Now().UTC().Truncate(time.Microsecond).Add(time.Hour)
	earlier, current, queued := newID(t), newID(t), newID(t)
	apply(t, store, submitted(earlier), failed(earlier, 1, 2), retryable(current), kept(failed(current, 1, 2), future), submitted(queued))
	keep := func(j job.Job) job.Event {
		return job.Kept{ID: job.ID(j.ID), At: future, Retention: job.Retention{Files: time.Hour, Source: time.Minute}}
	}
	for _, want := range []int{1, 0} {
		n, err := store.Keep(t.Context(), 10, keep)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	require.Equal(t, future.Add(time.Hour), read(t, store, earlier).ExpiresAt)
	require.Equal(t, future, read(t, store, current).ExpiresAt)
}

// testJobs requires that the jobs of stored files are found, whatever their state is.
func testJobs(t *suite) {
	store := t.start()
	queued, placeholder, gone, hidden, unknown := newID(t), newID(t), newID(t), newID(t), newID(t)
	apply(t, store, submitted(queued), started(placeholder, 1, 1), submitted(gone), submitted(hidden), withdrawn(hidden))
	apply(t, store, job.Removed{ID: job.ID(gone), Reason: job.Expired, At: noon, Until: at(60)})
	jobs, err := store.Jobs(t.Context(), []uuid.UUID{queued, placeholder, gone, hidden, unknown})
	require.NoError(t, err)
	var found []uuid.UUID
	for _, j := range jobs {
		found = append(found, j.ID)
	}
	require.ElementsMatch(t, []uuid.UUID{queued, placeholder, gone, hidden}, found)

	keys, err := store.Sources(t.Context(), []string{queued.String(), gone.String(), hidden.String(), unknown.String()})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{queued.String(), gone.String(), hidden.String()}, slices.Compact(keys))

	apply(t, store, job.FilesRemoved{ID: job.ID(gone)})
	keys, err = store.Sources(t.Context(), []string{queued.String(), gone.String()})
	require.NoError(t, err)
	require.Equal(t, []string{queued.String()}, keys, "a tombstone without files has no document")
}

// testClaim requires that one replica at a time gets a chore.
func testClaim(t *suite) {
	stores := t.startReplicas(2)
	claim := func(store jobstore.Store, chore string, interval time.Duration) bool {
		claimed, err := store.Claim(t.Context(), chore, interval)
		require.NoError(t, err)
		return claimed
	}
	require.True(t, claim(stores[0], "one", time.Hour))
	require.False(t, claim(stores[0], "one", time.Hour))
	require.False(t, claim(stores[1], "one", time.Hour))
	require.True(t, claim(stores[1], "other", time.Millisecond))
	until(t, func() bool { return claim(stores[0], "other", time.Millisecond) })
}

// observe observes the clock.
func observe(t *suite, store jobstore.Store) jobstore.Observation {
	t.Helper()
	seen, err := store.Observe(t.Context(), time.Hour, 30*time.Minute)
	require.NoError(t, err)
	return seen
}

// requireHold requires a hold of 30 minutes, and that the clock may be ahead by that time.
func requireHold(t *suite, seen jobstore.Observation, ahead time.Duration) {
	t.Helper()
	require.True(t, seen.Held())
	require.WithinDuration(t, time.Now().Add(30*time.Minute), seen.HeldUntil, Patience)
	lag, known := seen.Lag()
	require.True(t, known)
	require.InDelta(t, ahead, lag, float64(Patience))
}

// testObserve requires that less is deleted for a while after the clock was set forward, also if the process was restarted.
func testObserve(t *suite) {
	store, stop := t.startStopping()
	require.False(t, observe(t, store).Held(), "nothing is known of the clock")
	require.False(t, observe(t, store).Held())
	t.database.SetClock(t, 59*time.Minute)
	require.False(t, observe(t, store).Held())
	stop()
	store = t.start()
	t.database.SetClock(t, 61*time.Minute)
	held := observe(t, store)
	requireHold(t, held, 61*time.Minute)
	require.Equal(t, held.HeldUntil, observe(t, store).HeldUntil, "it does not begin again")
	t.database.SetClock(t, 5*time.Minute)
	later := observe(t, store)
	require.Equal(t, 25*time.Minute, later.HeldUntil.Sub(later.SeenAt).Round(time.Minute))
	lag, _ := later.Lag()
	require.InDelta(t, 61*time.Minute, lag, float64(Patience), "the time passes for what is trusted, too")
	t.database.SetClock(t, 26*time.Minute)
	require.False(t, observe(t, store).Held(), "it ends")
	lag, known := observe(t, store).Lag()
	require.True(t, known)
	require.Zero(t, lag)
}

// testObserveCorrections requires that a hold ends when the clock is as it was before, but not if it is set to another wrong time.
func testObserveCorrections(t *suite) {
	store := t.start()
	observe(t, store)
	t.database.SetClock(t, 72*time.Hour)
	requireHold(t, observe(t, store), 72*time.Hour)
	t.database.SetClock(t, -59*time.Minute)
	require.True(t, observe(t, store).Held())
	t.database.SetClock(t, 59*time.Minute)
	requireHold(t, observe(t, store), 72*time.Hour)
	t.database.SetClock(t, -48*time.Hour)
	requireHold(t, observe(t, store), 24*time.Hour)
	t.database.SetClock(t, -24*time.Hour+10*time.Minute)
	require.False(t, observe(t, store).Held(), "the clock was corrected")
	t.database.SetClock(t, -72*time.Hour)
	require.False(t, observe(t, store).Held(), "a clock that is behind deletes nothing too early")
}

// testObserveAgain requires that a clock that jumps twice in a row is trusted only up to the first time, and that a service that is
// used for some minutes a day trusts the clock of the day before.
func testObserveAgain(t *suite) {
	store := t.start()
	observe(t, store)
	t.database.SetClock(t, 24*time.Hour)
	requireHold(t, observe(t, store), 24*time.Hour)
	t.database.SetClock(t, 6*time.Minute)
	observe(t, store)
	t.database.SetClock(t, 24*time.Hour)
	requireHold(t, observe(t, store), 48*time.Hour)
	t.database.SetClock(t, 6*time.Minute)
	observe(t, store)
	t.database.SetClock(t, 24*time.Hour)
	requireHold(t, observe(t, store), 24*time.Hour)
}

// testObserveReplicas requires that all replicas delete less if one has noticed that the clock was set.
func testObserveReplicas(t *suite) {
	stores := t.startReplicas(2)
	require.False(t, observe(t, stores[0]).Held())
	t.database.SetClock(t, 24*time.Hour)
	held := observe(t, stores[0])
	require.True(t, held.Held())
	require.Equal(t, held.HeldUntil, observe(t, stores[1]).HeldUntil)
}
