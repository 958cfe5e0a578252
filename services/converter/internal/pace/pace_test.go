package pace_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/converter/internal/pace"
)

func TestAverageFollowsTheLatest(t *testing.T) {
	t.Parallel()
	var a pace.Average
	require.Zero(t, a.Duration())
	a.Add(time.Second)
	require.Equal(t, time.Second, a.Duration())
	for range 11 {
		a.Add(3 * time.Second)
	}
	require.InDelta(t, 2, a.Duration().Seconds(), 0.05)
	for range 100 {
		a.Add(3 * time.Second)
	}
	require.InDelta(t, 3, a.Duration().Seconds(), 0.01)
}
