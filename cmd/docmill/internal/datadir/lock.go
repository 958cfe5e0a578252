package datadir

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrInUse means that another process has the data directory open.
var ErrInUse = errors.New("in use by another process")

// lock is a locked file. It holds the process id of its owner while it is in use, and is empty after a clean end: so
// the next owner knows whether the last one died.
type lock struct {
	file *os.File
	// wasClean reports whether the last owner released the lock; staysClean whether release says so of this one.
	wasClean, staysClean bool
}

// acquire takes the lock, which the kernel releases when the process ends, however it ends.
func acquire(path string) (*lock, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	err = tryLock(file)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("%w%s", ErrInUse, owner(path)), file.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock: %w", err), file.Close())
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the lock: %w", err), file.Close())
	}
	l := &lock{file: file, wasClean: info.Size() == 0, staysClean: true}
	if err := l.mark(strconv.Itoa(os.Getpid()) + "\n"); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return l, nil
}

// tryLock locks a file until it is closed.
func tryLock(file *os.File) error { return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// owner describes the process that has the lock; empty if it is unknown.
func owner(path string) string {
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return ""
	}
	return " (" + strings.TrimSpace(string(text)) + ")"
}

func (l *lock) mark(text string) error {
	// In this order a full disk or a crash never leaves an empty file, which would mean a clean stop.
	_, err := l.file.WriteAt([]byte(text), 0)
	if err == nil {
		err = l.file.Truncate(int64(len(text)))
	}
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("write the lock: %w", err)
	}
	return nil
}

// keepMark makes release leave the mark of a process that died.
func (l *lock) keepMark() { l.staysClean = false }

// release ends the use of the directory, and marks it as clean.
func (l *lock) release() error {
	var err error
	if l.staysClean {
		err = l.mark("")
	}
	return errors.Join(err, l.file.Close())
}
