// Package disk contains what the standard library lacks for file systems.
package disk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Free returns how many bytes an unprivileged process can still write to the file system of a path.
func Free(path string) (uint64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return 0, fmt.Errorf("read the free space of %s: %w", path, err)
	}
	return stat.Bavail * uint64(stat.Bsize), nil
}

// SyncDirectory makes the names in a directory durable: fsync of a file does not cover its name.
func SyncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}
