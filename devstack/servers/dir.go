package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gofrs/flock"
)

const (
	// dirMode lets the user postgres traverse the directory to reach its data, but not list it.
	dirMode = 0o711
	// lockName is the lock that is held while servers of the directory may run.
	lockName        = "lock"
	temporaryPrefix = "docmill-devstack-"
)

// temporaryDir creates and locks a temporary directory. It also removes those of processes that ended without doing so:
// a test process that panics or exceeds its time limit leaves its directory behind.
func temporaryDir(ctx context.Context) (dir string, lock *flock.Flock, err error) {
	parent, err := temporaryParent()
	if err != nil {
		return "", nil, err
	}
	// This lock protects the directory between its creation and the moment its own lock is held.
	creating := flock.New(filepath.Join(parent, temporaryPrefix+strconv.Itoa(os.Getuid())+".lock"))
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := creating.TryLockContext(ctx, 10*time.Millisecond); err != nil {
		return "", nil, fmt.Errorf("lock the temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, creating.Close()) }()
	sweep(parent)
	dir, err = os.MkdirTemp(parent, temporaryPrefix)
	if err != nil {
		return "", nil, fmt.Errorf("create a temporary directory: %w", err)
	}
	if err := os.Chmod(dir, dirMode); err != nil {
		return "", nil, fmt.Errorf("make the temporary directory accessible to postgres: %w", err)
	}
	lock = flock.New(filepath.Join(dir, lockName))
	if _, err := lock.TryLock(); err != nil {
		return "", nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return dir, lock, nil
}

// temporaryParent returns the default temporary directory, or /tmp if the user postgres cannot reach the default one.
func temporaryParent() (string, error) {
	usual := os.TempDir()
	if os.Getuid() != 0 || passable(usual) == nil {
		return usual, nil
	}
	if err := passable("/tmp"); err != nil {
		return "", fmt.Errorf("the user postgres can reach neither %s nor /tmp: %w", usual, err)
	}
	return "/tmp", nil
}

// sweep removes directories of this user whose lock is free.
func sweep(parent string) {
	leftovers, _ := filepath.Glob(filepath.Join(parent, temporaryPrefix+"*", lockName))
	for _, path := range leftovers {
		lock := flock.New(path)
		if locked, err := lock.TryLock(); err == nil && locked {
			_ = removeDir(filepath.Dir(path)) // if a dying server still writes to it, the next sweep removes it
			_ = lock.Close()
		}
	}
}

// removeDir retries for a second: children of PostgreSQL may outlive it for a moment and still write.
func removeDir(dir string) error {
	const attempts, pause = 20, 50 * time.Millisecond
	var err error
	for range attempts {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
		time.Sleep(pause)
	}
	return fmt.Errorf("remove %s: %w", dir, err)
}

// passable returns nil if other users can traverse the directory and all its parents.
func passable(dir string) error {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("%s is not accessible to other users (mode %s)", dir, info.Mode().Perm())
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}
