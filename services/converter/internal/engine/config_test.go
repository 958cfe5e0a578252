package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	good := Config{Timeout: time.Minute, Memory: 1 << 30, Disk: 1 << 30}
	require.NoError(t, good.Validate())
	for _, bad := range []Config{
		{Memory: good.Memory, Disk: good.Disk},
		{Timeout: good.Timeout, Disk: good.Disk},
		{Timeout: good.Timeout, Memory: good.Memory},
		{Timeout: good.Timeout, Memory: good.Memory, Disk: good.Disk, Pages: -1},
	} {
		require.ErrorContains(t, bad.Validate(), "setting conversion-")
	}
}
