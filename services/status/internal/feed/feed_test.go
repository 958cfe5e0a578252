package feed_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status/internal/feed"
)

func TestSubscriptionCollectsChanges(t *testing.T) {
	t.Parallel()
	f := feed.New()
	f.Wake(uuid.New()) // nobody has subscribed
	first, second := f.Subscribe(), f.Subscribe()
	defer first.Close()
	a, b := uuid.New(), uuid.New()
	f.Wake(a, b)
	f.Wake(a)
	<-first.Changed()
	ids, all := first.Take()
	require.ElementsMatch(t, []uuid.UUID{a, b}, ids)
	require.False(t, all)
	require.Empty(t, first.Changed())
	ids, _ = first.Take()
	require.Empty(t, ids)

	second.Close()
	f.Wake(a)
	require.Len(t, first.Changed(), 1)
	ids, _ = second.Take()
	require.ElementsMatch(t, []uuid.UUID{a, b}, ids, "only those before it was closed")
}

func TestSubscriptionIsBounded(t *testing.T) {
	t.Parallel()
	f := feed.New()
	slow := f.Subscribe()
	defer slow.Close()
	for range 10_001 {
		f.Wake(uuid.New())
	}
	<-slow.Changed()
	ids, all := slow.Take()
	require.True(t, all)
	require.Empty(t, ids)

	f.WakeAll()
	f.Wake(uuid.New())
	<-slow.Changed()
	ids, all = slow.Take()
	require.True(t, all)
	require.Empty(t, ids)
	f.Wake(uuid.New())
	ids, all = slow.Take()
	require.False(t, all)
	require.Len(t, ids, 1)
}
