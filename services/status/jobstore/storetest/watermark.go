package storetest

import (
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/services/status/jobstore"
)

// advance moves the watermark to the present, as a mark does that is taken from the queue at once.
func advance(t testingT, store jobstore.Store) {
	t.Helper()
	now, err := store.Now(t.Context())
	require.NoError(t, err)
	require.NoError(t, store.Advance(t.Context(), now))
}

func requireWatermark(t testingT, store jobstore.Store, want time.Time) {
	t.Helper()
	got, err := store.Watermark(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func testWatermark(t *suite) {
	store, stop := t.startStopping()
	requireWatermark(t, store, time.Time{})
	for _, step := range []struct{ to, want time.Time }{{at(10), at(10)}, {at(20), at(20)}, {at(15), at(20)}, {at(20), at(20)}} {
		require.NoError(t, store.Advance(t.Context(), step.to))
		requireWatermark(t, store, step.want)
	}
	precise := at(30).Add(time.Microsecond)
	require.NoError(t, store.Advance(t.Context(), precise))
	stop()
	requireWatermark(t, t.start(), precise)
}

// testWatermarkOfFastClock sets a watermark from a clock that was ahead. It must be treated as the present time, and the next
// mark must replace it.
func testWatermarkOfFastClock(t *suite) {
	store, fresh, hidden := t.start(), newID(t), newID(t)
	apply(t, store, submitted(fresh), withdrawn(hidden))
	ahead := 24 * time.Hour
	now, err := store.Now(t.Context())
	require.NoError(t, err)
	require.NoError(t, store.Advance(t.Context(), now.Add(ahead)))
	before, err := store.Now(t.Context())
	require.NoError(t, err)
	got, err := store.Watermark(t.Context())
	require.NoError(t, err)
	after, err := store.Now(t.Context())
	require.NoError(t, err)
	require.False(t, got.Before(before) || got.After(after), "%s is not the present, %s", got, after)

	expired, err := store.Expire(t.Context(), ahead/2, 100, exhausted)
	require.NoError(t, err)
	require.Empty(t, expired, "the job is new")
	deleted, err := store.DeleteWithdrawn(t.Context(), ahead/2, 100)
	require.NoError(t, err)
	require.Zero(t, deleted)

	require.NoError(t, store.Advance(t.Context(), now.Add(-time.Hour)))
	requireWatermark(t, store, now.Add(-time.Hour))
	require.NoError(t, store.Advance(t.Context(), now.Add(-2*time.Hour)))
	requireWatermark(t, store, now.Add(-time.Hour))
}

func testWatermarkOfReplicas(t *suite) {
	stores := t.startReplicas(4)
	var group errgroup.Group
	for i, store := range stores {
		group.Go(func() error {
			for n := range 20 {
				if err := store.Advance(t.Context(), at(n*len(stores)+i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	for _, store := range stores {
		requireWatermark(t, store, at(79))
	}
}

// testNow requires a clock that goes forward, in the precision of the watermark.
func testNow(t *suite) {
	stores := t.startReplicas(2)
	first, err := stores[0].Now(t.Context())
	require.NoError(t, err)
	second, err := stores[1].Now(t.Context())
	require.NoError(t, err)
	require.False(t, second.Before(first), "one clock for all replicas")
	require.Equal(t, time.UTC, second.Location())
	require.WithinDuration(t, time.Now(), second, Patience)
	require.NoError(t, stores[0].Advance(t.Context(), second))
	requireWatermark(t, stores[1], second)
}
