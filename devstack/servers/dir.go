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
	// dirMode lets the user postgres pass through to its data, and nobody list what is beside it.
	dirMode = 0o711
	// lockName is held for as long as a directory's servers may run.
	lockName        = "lock"
	temporaryPrefix = "docmill-devstack-"
)

// temporaryDir creates and locks a directory that is removed later, and sweeps those of processes that died before they
// could do so: a test process that panics or runs into its time limit leaves its directory behind.
func temporaryDir(ctx context.Context) (dir string, lock *flock.Flock, err error) {
	parent, err := temporaryParent()
	if err != nil {
		return "", nil, err
	}
	// A directory exists for a moment before its lock is held; this lock keeps sweepers away meanwhile.
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
		return "", nil, fmt.Errorf("open the temporary directory to postgres: %w", err)
	}
	lock = flock.New(filepath.Join(dir, lockName))
	if _, err := lock.TryLock(); err != nil {
		return "", nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return dir, lock, nil
}

// temporaryParent is the usual temporary directory, or /tmp where PostgreSQL's own user could not reach into the usual one.
func temporaryParent() (string, error) {
	usual := os.TempDir()
	if os.Getuid() != 0 || passable(usual) == nil {
		return usual, nil
	}
	if err := passable("/tmp"); err != nil {
		return "", fmt.Errorf("neither %s nor /tmp can be used by the user postgres: %w", usual, err)
	}
	return "/tmp", nil
}

// sweep removes directories of this user whose lock nobody holds any more.
func sweep(parent string) {
	leftovers, _ := filepath.Glob(filepath.Join(parent, temporaryPrefix+"*", lockName))
	for _, path := range leftovers {
		lock := flock.New(path)
		if locked, err := lock.TryLock(); err == nil && locked {
			_ = removeDir(filepath.Dir(path)) // somebody else's, or being written to by a dying server: next time
			_ = lock.Close()
		}
	}
}

// removeDir tries for a while: PostgreSQL's own children may outlive it by a moment and still write.
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

// passable says whether other users can pass through the directory and all above it.
func passable(dir string) error {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("%s is closed to other users (mode %s)", dir, info.Mode().Perm())
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}
