package capacity

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/docmill/docmill/platform/config"
)

func TestSlots(t *testing.T) {
	t.Parallel()
	const gib = config.Size(1 << 30)
	for name, c := range map[string]struct {
		wanted          int
		fixed           bool
		available, disk config.Size
		want, warnings  int
	}{
		"enough of everything":                           {wanted: 4, available: 8 * gib, disk: 100 * gib, want: 4},
		"the container of docker-compose.yml":            {wanted: 16, available: 5*gib - reserve, disk: 100 * gib, want: 2, warnings: 1},
		"the disk has less room":                         {wanted: 16, available: 20 * gib, disk: 7 * gib, want: 3, warnings: 2},
		"not enough for one":                             {wanted: 2, available: gib, disk: 100 * gib, want: 1, warnings: 1},
		"not enough for one, less than what is reserved": {wanted: 2, available: -gib, disk: 100 * gib, want: 1, warnings: 1},
		"the operator knows better":                      {wanted: 16, fixed: true, available: 5 * gib, disk: 100 * gib, want: 16, warnings: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core, logs := observer.New(zap.WarnLevel)
			rooms := []Room{
				{Resource: "memory", Available: c.available, Each: 2 * gib, Setting: "conversion-memory"},
				{Resource: "disk", Available: c.disk, Each: 2 * gib, Setting: "conversion-disk"},
			}
			require.Equal(t, c.want, Slots(c.wanted, c.fixed, rooms, zap.New(core)))
			require.Equal(t, c.warnings, logs.Len())
		})
	}
}

func TestRoomOfThisMachine(t *testing.T) {
	t.Parallel()
	memory, err := Memory(1)
	require.NoError(t, err)
	require.Positive(t, memory.Available+reserve)
	disk, err := Disk(t.TempDir(), 1, 0)
	require.NoError(t, err)
	require.Positive(t, disk.Available)
	_, err = Disk("/no/such/directory", 1, 0)
	require.ErrorIs(t, err, os.ErrNotExist)
}
