package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/prometheus/procfs"
)

// watch measures what a process group uses.
type watch struct {
	limits   Limits
	dir      string
	baseline int64 // bytes in dir before the start
	proc     procfs.FS
}

func newWatch(command Command) (*watch, error) {
	w := &watch{limits: command.Limits, dir: command.Dir}
	var err error
	if w.proc, err = procfs.NewDefaultFS(); err != nil {
		return nil, fmt.Errorf("open /proc to measure processes: %w", err)
	}
	if w.baseline, err = Usage(w.dir); err != nil {
		return nil, fmt.Errorf("measure %s: %w", w.dir, err)
	}
	return w, nil
}

// memory returns ErrMemory if the group exceeds its limit. Pages that its processes share count once for each, which
// errs on the safe side; the programs that are run here are single processes.
func (w *watch) memory(group int) error {
	if w.limits.Memory == 0 {
		return nil
	}
	processes, err := w.proc.AllProcs()
	if err != nil {
		return nil //nolint:nilerr // /proc was there at the start; the next measurement follows soon
	}
	resident := int64(0)
	for _, process := range processes {
		stat, err := process.Stat()
		if err == nil && stat.PGRP == group { // a process may end after it was listed
			resident += int64(stat.ResidentMemory())
		}
	}
	if resident > w.limits.Memory {
		return fmt.Errorf("%w: %d MiB of %d", ErrMemory, resident>>20, w.limits.Memory>>20)
	}
	return nil
}

// disk returns ErrDisk if the directory has grown to its limit.
func (w *watch) disk() error {
	if w.limits.Disk == 0 {
		return nil
	}
	now, err := Usage(w.dir)
	if err != nil {
		return nil //nolint:nilerr // it was readable at the start, and the kernel's limit for each file holds in any case
	}
	if grown := now - w.baseline; grown >= w.limits.Disk {
		return fmt.Errorf("%w: %d MiB of %d", ErrDisk, grown>>20, w.limits.Disk>>20)
	}
	return nil
}

// Usage returns the total size of the files below a directory, in bytes. Files that vanish meanwhile do not count.
func Usage(dir string) (int64, error) {
	total := int64(0)
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	})
	return total, err
}
