// Package workdir gives each job a folder of its own on the disk of this machine, and removes what a predecessor that was
// killed left behind.
//
// Several converters may share a work folder. Each has a folder of its own in it, and holds a lock in there for as long
// as it lives: the kernel lets the lock go with the process, however that ends, so a folder whose lock is free is dead.
package workdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	// processPrefix begins the names of processes' folders; nothing else in the work folder is ever touched.
	processPrefix = "converter-"
	lockName      = "lock"
	rootLockName  = ".lock"
)

// Folder is this process's own part of the work folder. It is safe for concurrent use.
type Folder struct {
	path string
	lock *os.File
}

// Open makes a folder for this process below dir, or below the system's folder for temporary files when dir is empty, and
// removes the folders of this user's converters that are no more. Others may be able to write to dir: what is made in
// it is for this user alone.
func Open(dir string) (*Folder, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	root, err := filepath.Abs(filepath.Join(dir, fmt.Sprintf("docmill-converter-%d", os.Geteuid())))
	if err != nil {
		return nil, fmt.Errorf("work folder: %w", err)
	}
	if err := ownRoot(root); err != nil {
		return nil, err
	}
	// Between the creation of a process's folder and its lock another one must not take it for dead.
	rootLock, err := lock(filepath.Join(root, rootLockName), unix.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("lock work folder %s: %w", root, err)
	}
	defer rootLock.Close()
	if err := removeDead(root); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(root, processPrefix)
	if err != nil {
		return nil, fmt.Errorf("make a folder of this process: %w", err)
	}
	own, err := lock(filepath.Join(path, lockName), unix.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Folder{path: path, lock: own}, nil
}

// Path is the process's own folder.
func (f *Folder) Path() string { return f.path }

// Make creates a new, empty folder that only this user can read. Its maker removes it.
func (f *Folder) Make() (string, error) {
	path, err := os.MkdirTemp(f.path, "job-")
	if err != nil {
		return "", fmt.Errorf("make a job's folder: %w", err)
	}
	return path, nil
}

// Close removes the process's folder with all that is in it.
func (f *Folder) Close() error {
	return errors.Join(os.RemoveAll(f.path), f.lock.Close())
}

// ownRoot makes sure that root is a folder of this user that nobody else can write to: where everybody can write, as in
// /tmp, its name may be taken.
func ownRoot(root string) error {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return fmt.Errorf("make the work folder: %w", err)
	}
	var stat unix.Stat_t
	if err := unix.Lstat(root, &stat); err != nil {
		return fmt.Errorf("look at work folder %s: %w", root, err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR || int(stat.Uid) != os.Geteuid() || stat.Mode&0o022 != 0 {
		return fmt.Errorf("work folder %s must be a folder of this user that nobody else can write to; set work-dir to another one", root)
	}
	return nil
}

func removeDead(root string) error {
	found, err := filepath.Glob(filepath.Join(root, processPrefix+"*"))
	if err != nil {
		return fmt.Errorf("list work folder %s: %w", root, err)
	}
	for _, path := range found {
		own, err := lock(filepath.Join(path, lockName), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue // it lives
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

// lock opens and locks a file. Child processes do not inherit it: Go opens all files close-on-exec.
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
