package sqlite

import (
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

var (
	// ErrFull means that the file system accepts no more data: it is full, over a quota or read-only, a write to it fails,
	// or the database has reached its size limit. Nothing of the write is stored. Writes work again once there is space;
	// nothing needs to be restarted.
	ErrFull = errors.New("the file system accepts no more data")
	// ErrCorrupt means that the file is damaged or is not a database.
	ErrCorrupt = errors.New("the database is corrupt")
	// ErrNewerVersion means that a newer version of the program has changed the database's schema.
	ErrNewerVersion = errors.New("the database was written by a newer version")
	// ErrUnknownOutcome means that a write may or may not have been stored.
	ErrUnknownOutcome = errors.New("the outcome of the write is unknown")
	// ErrClosed means that the database was closed before the write began.
	ErrClosed = errors.New("the database is closed")
)

// Classify wraps an error of the driver in [ErrFull] or [ErrCorrupt] if it is one of them, and returns other errors
// unchanged. Errors of [DB.Write] are classified already.
func Classify(err error) error {
	var failed *driver.Error
	if !errors.As(err, &failed) {
		return err
	}
	kind := kindOf(failed.Code())
	if kind == nil || errors.Is(err, kind) {
		return err
	}
	return fmt.Errorf("%w: %w", kind, err)
}

func kindOf(code int) error {
	switch code {
	case codes.SQLITE_IOERR_WRITE, // such as EDQUOT; ENOSPC is SQLITE_FULL
		codes.SQLITE_IOERR_SHMSIZE: // the file of the shared memory could not be extended
		return ErrFull
	}
	switch primary(code) {
	case codes.SQLITE_FULL, codes.SQLITE_READONLY:
		return ErrFull
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
		return ErrCorrupt
	default:
		return nil
	}
}

// primary returns the primary code of an extended one, which has it in its low byte.
func primary(code int) int { return code & 0xff }

// Refused reports whether SQLite refuses the data of a write: a constraint is violated, a value is too large or has the
// wrong type.
func Refused(err error) bool {
	var failed *driver.Error
	if !errors.As(err, &failed) {
		return false
	}
	switch primary(failed.Code()) {
	case codes.SQLITE_CONSTRAINT, codes.SQLITE_TOOBIG, codes.SQLITE_MISMATCH:
		return true
	default:
		return false
	}
}

// uncertain reports whether a failed COMMIT leaves open what a recovery after a crash would find: an fsync that failed
// says nothing about what is on disk. A full disk is certain: the frame that ends the transaction is missing in the
// log.
func uncertain(err error) bool {
	var failed *driver.Error
	if !errors.As(err, &failed) {
		return true
	}
	switch failed.Code() {
	case codes.SQLITE_IOERR_SHMSIZE: // the shared memory is extended after the last frame has been written
		return true
	case codes.SQLITE_BUSY:
		return false
	default:
		return kindOf(failed.Code()) == nil
	}
}
