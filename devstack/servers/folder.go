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
	// folderMode lets the user postgres pass through to its data, and nobody list what is beside it.
	folderMode = 0o711
	// lockName is held for as long as a folder's servers may run.
	lockName        = "lock"
	temporaryPrefix = "docmill-devstack-"
)

// temporaryFolder creates and locks a folder that is removed later, and sweeps those of processes that died before they
// could do so: a test process that panics or runs into its time limit leaves its folder behind.
func temporaryFolder(ctx context.Context) (dir string, lock *flock.Flock, err error) {
	parent, err := temporaryParent()
	if err != nil {
		return "", nil, err
	}
	// A folder exists for a moment before its lock is held; this lock keeps sweepers away meanwhile.
	creating := flock.New(filepath.Join(parent, temporaryPrefix+strconv.Itoa(os.Getuid())+".lock"))
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := creating.TryLockContext(ctx, 10*time.Millisecond); err != nil {
		return "", nil, fmt.Errorf("locking the temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, creating.Close()) }()
	sweep(parent)
	dir, err = os.MkdirTemp(parent, temporaryPrefix)
	if err != nil {
		return "", nil, fmt.Errorf("creating a temporary folder: %w", err)
	}
	if err := os.Chmod(dir, folderMode); err != nil {
		return "", nil, fmt.Errorf("opening the temporary folder to postgres: %w", err)
	}
	lock = flock.New(filepath.Join(dir, lockName))
	if _, err := lock.TryLock(); err != nil {
		return "", nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return dir, lock, nil
}

// temporaryParent is the usual temporary folder, or /tmp where PostgreSQL's own user could not reach into the usual one.
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

// sweep removes folders of this user whose lock nobody holds any more.
func sweep(parent string) {
	leftovers, _ := filepath.Glob(filepath.Join(parent, temporaryPrefix+"*", lockName))
	for _, path := range leftovers {
		lock := flock.New(path)
		if locked, err := lock.TryLock(); err == nil && locked {
			_ = removeFolder(filepath.Dir(path)) // somebody else's, or being written to by a dying server: next time
			_ = lock.Close()
		}
	}
}

// removeFolder tries for a while: PostgreSQL's own children may outlive it by a moment and still write.
func removeFolder(dir string) error {
	const attempts, pause = 20, 50 * time.Millisecond
	var err error
	for range attempts {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
		time.Sleep(pause)
	}
	return fmt.Errorf("removing %s: %w", dir, err)
}

// passable says whether other users can pass through the folder and all above it.
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
