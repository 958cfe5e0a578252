package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLimitsAreValidated(t *testing.T) {
	t.Parallel()
	good := Limits{Timeout: time.Minute, Memory: 1 << 30, Disk: 1 << 30}
	require.NoError(t, good.Validate())
	for _, bad := range []Limits{
		{Memory: good.Memory, Disk: good.Disk},
		{Timeout: 11 * time.Minute, Memory: good.Memory, Disk: good.Disk},
		{Timeout: good.Timeout, Disk: good.Disk},
		{Timeout: good.Timeout, Memory: good.Memory},
		{Timeout: good.Timeout, Memory: good.Memory, Disk: good.Disk, Pages: -1},
	} {
		require.ErrorContains(t, bad.Validate(), "setting conversion-")
	}
}
