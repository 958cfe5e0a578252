package engine

import (
	"errors"
	"fmt"

	"github.com/docmill/docmill/platform/disk"
)

// ErrNoSpace means that the disk with the work directory is full. The document is not the cause.
var ErrNoSpace = errors.New("the disk of the work directory is full")

// minFree is how much free space is enough for most conversions.
const minFree = 64 << 20

// MinFreeOfResult is how many bytes must have stayed free for a result to count: a program may not report that it could
// not write a part of it.
const MinFreeOfResult = 1 << 20

// MinFree returns how many bytes must be free for conversions: with less, a failure may be the fault of the disk.
func (l Limits) MinFree() uint64 { return min(uint64(l.Disk), minFree) }

// CheckSpace returns ErrNoSpace if the file system of a directory has less free space than MinFree.
func (l Limits) CheckSpace(directory string) error {
	free, err := disk.Free(directory)
	if err != nil {
		return err
	}
	if free < l.MinFree() {
		return fmt.Errorf("%w: %d KiB are free, fewer than %d", ErrNoSpace, free>>10, l.MinFree()>>10)
	}
	return nil
}

// NoSpace returns an ErrNoSpace with a failure as its details. The failure is not in the error's chain: it may be a
// problem of the document, which is not to blame.
func NoSpace(failure error) error { return &noSpaceError{failure} }

type noSpaceError struct{ failure error }

// Error describes the failure.
func (e *noSpaceError) Error() string { return ErrNoSpace.Error() + ": " + e.failure.Error() }

// Is makes the error an ErrNoSpace.
func (e *noSpaceError) Is(target error) bool { return target == ErrNoSpace }
