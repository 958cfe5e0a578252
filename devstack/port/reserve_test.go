package port

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPortIsReservedOnce: descriptors of the same process exclude each other, just as those of two processes do.
func TestPortIsReservedOnce(t *testing.T) {
	t.Parallel()
	ports, err := Free(2)
	require.NoError(t, err)
	for _, one := range ports {
		again, err := reserve(one)
		require.NoError(t, err)
		require.False(t, again)
	}
}
