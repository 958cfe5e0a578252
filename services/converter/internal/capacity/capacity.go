// Package capacity determines how many concurrent conversions this machine, or its container, has room for.
package capacity

import (
	"errors"
	"fmt"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/disk"
)

// Room is how much of a resource there is for conversions.
type Room struct {
	// Resource is its name in logs.
	Resource string
	// Available is for all conversions together, Each is the limit of one.
	Available, Each config.Size
	// Setting is the name of the setting for Each.
	Setting string
}

// conversions returns how many concurrent conversions there is room for if each uses all that it may use.
func (r Room) conversions() int { return int(max(r.Available, 0) / r.Each) }

// reserve is for the converter itself and for LibreOffice, which is loaded twice while it is replaced: 200 MiB each.
const reserve = 512 << 20

// Memory returns the room in memory: that of the machine, or the limit of the process's cgroup (version 1 or 2) or of one
// around it if that is less.
func Memory(each config.Size) (Room, error) {
	total, err := memlimit.FromSystem()
	if err != nil {
		return Room{}, fmt.Errorf("read the size of the memory: %w", err)
	}
	limit, err := memlimit.FromCgroup()
	switch {
	case err == nil:
		total = min(total, limit)
	case errors.Is(err, memlimit.ErrNoLimit), errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
	default:
		return Room{}, fmt.Errorf("read the memory limit of the container: %w", err)
	}
	return Room{Resource: "memory", Available: config.Size(total) - reserve, Each: each, Setting: "conversion-memory"}, nil
}

// Disk returns the room on the disk of a directory, of which keep must stay free.
func Disk(directory string, each, keep config.Size) (Room, error) {
	free, err := disk.Free(directory)
	if err != nil {
		return Room{}, err
	}
	return Room{Resource: "disk", Available: config.Size(free) - keep, Each: each, Setting: "conversion-disk"}, nil
}

// Slots returns how many conversions may run at the same time: as many as wanted, or as there is room for if that is less,
// but at least one. If the number is fixed, because it was set, Slots only warns.
func Slots(wanted int, fixed bool, rooms []Room, log *zap.Logger) int {
	slots := wanted
	for _, r := range rooms {
		fitting := r.conversions()
		if fitting >= wanted {
			continue
		}
		what := "fewer conversions at the same time than processor cores, because of this limit; set slots to override it, or reduce the setting"
		switch {
		case fixed:
			what = "there may not be enough room for as many conversions as slots; reduce slots or the setting"
		case fitting < 1:
			what = "there may not be enough room for a single conversion; reduce the setting"
			slots = 1
		default:
			slots = min(slots, fitting)
		}
		log.Warn(what, zap.String("resource", r.Resource), zap.Int("room_for", fitting), zap.Int("wanted", wanted),
			zap.Stringer("available", r.Available), zap.Stringer("each", r.Each), zap.String("setting", r.Setting))
	}
	return slots
}
