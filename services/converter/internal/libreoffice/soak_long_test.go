//go:build soak

package libreoffice

import (
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/require"
)

// TestSoak is run by `make soak COUNT=5000`. It checks the resources of this process, too, which does nothing else.
func TestSoak(t *testing.T) {
	count, err := strconv.Atoi(os.Getenv("SOAK"))
	require.NoError(t, err, "SOAK is the number of conversions")
	t.Run("short", func(t *testing.T) { soak(t, 100) }) // initializes what is initialized once
	descriptors, heap := ownDescriptors(t), ownHeap()
	t.Run("long", func(t *testing.T) { soak(t, count) })
	require.Equal(t, descriptors, ownDescriptors(t), "descriptors of this process")
	grown := ownHeap() - heap
	t.Logf("heap of this process: %+d KiB", grown>>10)
	require.Less(t, grown, int64(8<<20), "bytes by which this process's heap has grown")
}

func ownDescriptors(t *testing.T) int {
	t.Helper()
	self, err := procfs.Self()
	require.NoError(t, err)
	count, err := self.FileDescriptorsLen()
	require.NoError(t, err)
	return count
}

func ownHeap() int64 {
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return int64(memory.HeapAlloc)
}
