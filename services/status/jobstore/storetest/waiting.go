package storetest

import (
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

func testOldestWaiting(t *suite) {
	store := t.start()
	requireOldest(t, store, 0)

	const week, hour, minute = 7 * 24 * time.Hour, time.Hour, time.Minute
	running, retrying, ended := t.waiting(store, week), t.waiting(store, week), t.waiting(store, week)
	apply(t, store, started(running, 1, 1))
	apply(t, store, started(retrying, 1, 1), retried(retrying, 1, 2))
	apply(t, store, failed(ended, 1, 1))
	hidden := t.waiting(store, week)
	apply(t, store, withdrawn(hidden))
	placeholder := newID(t)
	apply(t, store, withdrawn(placeholder))
	t.database.Backdate(t, week, placeholder)
	requireOldest(t, store, 0)

	fresh, old := t.waiting(store, minute), t.waiting(store, hour)
	requireOldest(t, store, hour)
	apply(t, store, started(old, 1, 1))
	requireOldest(t, store, minute)
	apply(t, store, started(fresh, 1, 1))
	requireOldest(t, store, 0)
}

// waiting applies the submission of a job that waits for that long.
func (t *suite) waiting(store jobstore.Store, age time.Duration) uuid.UUID {
	t.Helper()
	id := newID(t)
	event := submitted(id).(job.Submitted) //nolint:forcetypeassert // it is one
	event.Submission.RequestedAt = time.Now().Add(-age).UTC().Truncate(time.Microsecond)
	apply(t, store, event)
	t.database.Backdate(t, age, id)
	return id
}

func requireOldest(t *suite, store jobstore.Store, want time.Duration) {
	t.Helper()
	got, err := store.OldestWaiting(t.Context())
	require.NoError(t, err)
	if want == 0 {
		require.Zero(t, got)
	} else {
		require.InDelta(t, want.Seconds(), got.Seconds(), Patience.Seconds()/2)
	}
}
