// Package workdir provides a directory on the local disk for each job, and removes what killed processes left behind.
//
// Several converters may share a work directory. Each has a directory of its own in it, and holds a lock there for as
// long as it lives: the kernel releases the lock when the process ends for any reason, so a directory with a free lock
// is abandoned.
package workdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	// processPrefix begins the names of processes' directories; nothing else in the work directory is ever touched.
	processPrefix = "converter-"
	lockName      = "lock"
	rootLockName  = ".lock"
)

// Dir is this process's own directory in the work directory. It is safe for concurrent use.
type Dir struct {
	path string
	lock *os.File
}

// Open creates a directory for this process below dir, or below the system's directory for temporary files if dir is
// empty, and removes the abandoned directories of this user's converters. Other users may be able to write to dir: what
// is created in it is accessible only to this user.
func Open(dir string) (*Dir, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	root, err := filepath.Abs(filepath.Join(dir, fmt.Sprintf("docmill-converter-%d", os.Geteuid())))
	if err != nil {
		return nil, fmt.Errorf("work directory: %w", err)
	}
	if err := ownRoot(root); err != nil {
		return nil, err
	}
	// Another process must not consider the new directory abandoned before it is locked.
	rootLock, err := lock(filepath.Join(root, rootLockName), unix.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("lock work directory %s: %w", root, err)
	}
	defer rootLock.Close()
	if err := removeDead(root); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(root, processPrefix)
	if err != nil {
		return nil, fmt.Errorf("create this process's directory: %w", err)
	}
	own, err := lock(filepath.Join(path, lockName), unix.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Dir{path: path, lock: own}, nil
}

// Path returns the path of the directory.
func (d *Dir) Path() string { return d.path }

// Make creates an empty directory that only this user can access. The caller removes it.
func (d *Dir) Make() (string, error) {
	path, err := os.MkdirTemp(d.path, "job-")
	if err != nil {
		return "", fmt.Errorf("create a job's directory: %w", err)
	}
	return path, nil
}

// Close removes the directory and everything in it.
func (d *Dir) Close() error {
	return errors.Join(os.RemoveAll(d.path), d.lock.Close())
}

// ownRoot creates root and checks that it is a directory of this user that no other user can write to: where everyone
// can create files, as in /tmp, another user may have taken its name.
func ownRoot(root string) error {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return fmt.Errorf("create the work directory: %w", err)
	}
	var stat unix.Stat_t
	if err := unix.Lstat(root, &stat); err != nil {
		return fmt.Errorf("inspect work directory %s: %w", root, err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR || int(stat.Uid) != os.Geteuid() || stat.Mode&0o022 != 0 {
		return fmt.Errorf("work directory %s must belong to this user and must not be writable by others; set work-dir to another directory", root)
	}
	return nil
}

func removeDead(root string) error {
	found, err := filepath.Glob(filepath.Join(root, processPrefix+"*"))
	if err != nil {
		return fmt.Errorf("list work directory %s: %w", root, err)
	}
	for _, path := range found {
		own, err := lock(filepath.Join(path, lockName), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue // its process is alive
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("lock leftover %s: %w", path, err)
		}
		err = os.RemoveAll(path)
		if own != nil {
			err = errors.Join(err, own.Close())
		}
		if err != nil {
			return fmt.Errorf("remove leftover %s: %w", path, err)
		}
	}
	return nil
}

// lock opens and locks a file. Child processes do not inherit the lock: Go opens all files close-on-exec.
func lock(path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), how); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
