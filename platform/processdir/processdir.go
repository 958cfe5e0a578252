// Package processdir provides a temporary directory for a process, and removes those that killed processes left behind.
//
// Several processes may use the same place. Each has a directory of its own in it, and holds a lock there for as long
// as it lives: the kernel releases the lock when the process ends for any reason, so a directory with a free lock is
// abandoned.
package processdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	lockName     = "lock"
	rootLockName = ".lock"
)

// Dir is this process's own directory. It is safe for concurrent use.
type Dir struct {
	path string
	lock *os.File
	left error
}

// Open creates a directory for this process below dir, or below the system's directory for temporary files if dir is
// empty, and removes the abandoned ones of this user's processes of the same kind. Other users may be able to write to
// dir: what is created in it is accessible only to this user.
func Open(dir, kind string) (*Dir, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	root, err := filepath.Abs(filepath.Join(dir, fmt.Sprintf("docmill-%s-%d", kind, os.Geteuid())))
	if err != nil {
		return nil, fmt.Errorf("temporary directory: %w", err)
	}
	if err := ownRoot(root); err != nil {
		return nil, err
	}
	// Another process must not consider the new directory abandoned before it is locked.
	rootLock, err := lock(filepath.Join(root, rootLockName), unix.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", root, err)
	}
	defer rootLock.Close()
	left := removeDead(root, kind+"-")
	path, err := os.MkdirTemp(root, kind+"-")
	if err != nil {
		return nil, fmt.Errorf("create this process's directory: %w", err)
	}
	own, err := lock(filepath.Join(path, lockName), unix.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Dir{path: path, lock: own, left: left}, nil
}

// Path returns the path of the directory.
func (d *Dir) Path() string { return d.path }

// Leftovers returns the errors of removing abandoned directories; nil if all were removed. The next process tries again.
func (d *Dir) Leftovers() error { return d.left }

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
	return errors.Join(removeAll(d.path), d.lock.Close())
}

// ownRoot creates root and checks that it is a directory of this user that no other user can write to: where everyone
// can create files, as in /tmp, another user may have taken its name.
func ownRoot(root string) error {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return fmt.Errorf("create the temporary directory: %w", err)
	}
	var stat unix.Stat_t
	if err := unix.Lstat(root, &stat); err != nil {
		return fmt.Errorf("inspect %s: %w", root, err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR || int(stat.Uid) != os.Geteuid() || stat.Mode&0o022 != 0 {
		return fmt.Errorf("the directory %s must belong to this user and must not be writable by others; use another directory for temporary files", root)
	}
	return nil
}

// removeDead removes the abandoned directories whose names begin with prefix. If one cannot be removed, it tries the others,
// and then returns all errors.
func removeDead(root, prefix string) error {
	found, err := filepath.Glob(filepath.Join(root, prefix+"*"))
	if err != nil {
		return fmt.Errorf("list %s: %w", root, err)
	}
	var failures []error
	for _, path := range found {
		own, err := lock(filepath.Join(path, lockName), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue // its process is alive
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			failures = append(failures, fmt.Errorf("lock leftover %s: %w", path, err))
			continue
		}
		if err := removeAll(path); err != nil {
			failures = append(failures, fmt.Errorf("remove leftover %s: %w", path, err))
		}
		if own != nil {
			_ = own.Close() // which unlocks it
		}
	}
	return errors.Join(failures...)
}

// removeAll removes a directory and everything in it. A program that was run in it may have made directories that their
// owner cannot read or change.
func removeAll(path string) error {
	err := os.RemoveAll(path)
	if !errors.Is(err, os.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(path, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			_ = os.Chmod(path, 0o700) //nolint:gosec // it is a directory, and is read after this
		}
		return nil
	})
	return os.RemoveAll(path)
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
