package storetest

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// listener is an audience that reads every job that it is notified of at once.
type listener struct {
	store  jobstore.Store
	heard  chan notification
	missed chan struct{}
	within time.Duration
}

// notification is a wake-up, and the version of the job that was read then. The version is 0 if none could be read.
type notification struct {
	id      uuid.UUID
	version int64
}

func (l *listener) Wake(ids ...uuid.UUID) {
	for _, id := range ids {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		found, _ := l.store.Job(ctx, id)
		cancel()
		l.heard <- notification{id, found.Version}
	}
}

func (l *listener) WakeAll() { l.missed <- struct{}{} }

// next returns the next notification.
func (l *listener) next(t testingT) notification {
	t.Helper()
	select {
	case n := <-l.heard:
		return n
	case <-time.After(l.within):
		require.Fail(t, "there was no notification")
		return notification{}
	}
}

// listen starts a store with a listener, and waits until notification has begun. The other store, on which tests make
// changes, is a replica of it if the implementation has replicas.
func (t *suite) listen() (l *listener, other jobstore.Store) {
	t.Helper()
	store := t.database.Open(t)
	l = &listener{
		store: store, heard: make(chan notification, 10_000), missed: make(chan struct{}, 100),
		within: t.implementation.NotifyWithin,
	}
	store.Notify(l)
	Run(t, store.Run)
	WaitReady(t, store)
	select {
	case <-l.missed:
	case <-time.After(l.within):
		require.Fail(t, "notification did not begin")
	}
	if t.implementation.Replicas {
		return l, t.start()
	}
	return l, store
}

// testNotifications requires one notification, after the commit, for every change of a visible state, and none for
// progress, for placeholders and for events without effect.
func testNotifications(t *suite) {
	l, store := t.listen()
	id, hidden, last := newID(t), newID(t), newID(t)
	j := job.New(id)
	for _, event := range life(id) {
		var change job.Change
		j, change = job.Apply(j, event)
		apply(t, store, event)
		if change.State {
			require.Equal(t, notification{id, j.Version}, l.next(t), "after %#v", event)
		}
		apply(t, store, event) // a duplicate
	}
	apply(t, store, started(hidden, 1, 1))
	apply(t, store, progressed(hidden, 1, 2, 10))
	apply(t, store, submitted(hidden))
	require.Equal(t, notification{hidden, 3}, l.next(t), "when the job becomes visible")
	apply(t, store, progressed(hidden, 1, 3, 20))
	apply(t, store, submitted(last))
	require.Equal(t, notification{last, 1}, l.next(t), "not for progress")
	require.Empty(t, l.heard)
}

func testNotificationsOfBatch(t *suite) {
	l, store := t.listen()
	const jobs = 450 // more than one payload of PostgreSQL has room for
	events := make([]job.Event, jobs)
	want := map[uuid.UUID]bool{}
	for i := range events {
		id := newID(t)
		events[i], want[id] = submitted(id), true
	}
	apply(t, store, events...)
	for range jobs {
		n := l.next(t)
		require.True(t, want[n.id])
		require.Equal(t, int64(1), n.version)
		delete(want, n.id)
	}
	require.Empty(t, want)
}

func testNotificationsOfExpire(t *suite) {
	l, store := t.listen()
	id := newID(t)
	apply(t, store, submitted(id))
	require.Equal(t, notification{id, 1}, l.next(t))
	t.database.Backdate(t, 2*time.Hour, id)
	advance(t, store)
	_, err := store.Expire(t.Context(), time.Hour, 10, exhausted)
	require.NoError(t, err)
	require.Equal(t, notification{id, 2}, l.next(t))
}
