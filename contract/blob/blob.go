// Package blob defines the interface of the file storage. Blobs are streamed in both directions and never held in
// memory as a whole.
//
// Package s3 implements it for S3-compatible object stores, package directory for a directory on the local disk. Every
// implementation must pass the conformance suite in package blobtest.
package blob

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Errors that callers distinguish.
var (
	// ErrNotFound means that there is no such blob, or no such bucket.
	ErrNotFound = errors.New("blob not found")
	// ErrExists means that a create-once Put found the key taken; the earlier blob is unchanged.
	ErrExists = errors.New("blob already exists")
	// ErrInvalidKey means that a key does not follow the rules of [ValidateKey].
	ErrInvalidKey = errors.New("invalid blob key")
	// ErrSize means that the content given to Put did not have the announced size.
	ErrSize = errors.New("content does not have the announced size")
	// ErrFull means that the store has no space left, or that a quota is used up.
	ErrFull = errors.New("blob store is full")
)

// UnknownSize is the size of a stream whose length is not known in advance.
const UnknownSize int64 = -1

// PutOptions are the optional parts of a Put.
type PutOptions struct {
	// ContentType is the media type. Implementations may ignore it.
	ContentType string
	// CreateOnce makes a second Put of the same key fail with ErrExists.
	CreateOnce bool
}

// Entry describes a blob in a listing.
type Entry struct {
	Key string
	// Size is in bytes.
	Size int64
	// ModifiedAt is when the blob was put, by the clock of the store.
	ModifiedAt time.Time
}

// Bucket stores blobs by key. [ValidateKey] defines which keys are valid; every method returns ErrInvalidKey for
// others. Buckets are safe for concurrent use.
type Bucket interface {
	// Put streams content to key. size is in bytes or UnknownSize; content of any other size fails with ErrSize. The blob
	// is complete, visible and durable when Put returns nil, and becomes visible all at once. If content fails, its error
	// is returned (wrapped). After any error other than a lost answer from a remote store nothing is visible, and a blob
	// that existed before is unchanged. ctx should outlive a failure of content, because the cleanup of an unfinished
	// upload uses it too. A full store returns ErrFull.
	Put(ctx context.Context, key string, content io.Reader, size int64, options PutOptions) error
	// Get streams length bytes from offset; a negative length means to the end. Bytes after the end of the blob do not
	// exist: a range that ends there is cut short, and a range that starts there is empty. The caller closes the stream,
	// which fails once ctx is done. Get returns ErrNotFound if there is no such blob.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	// Stat returns the size in bytes, or ErrNotFound.
	Stat(ctx context.Context, key string) (int64, error)
	// Copy stores the content of the blob from, and its type, under key, with the guarantees of Put. It returns ErrNotFound if
	// there is no blob from. Stores may refuse blobs of more than 5 GiB.
	Copy(ctx context.Context, key, from string) error
	// Delete removes a blob. Deleting one that does not exist is not an error.
	Delete(ctx context.Context, key string) error
	// List returns the blobs whose keys begin with prefix and are greater than after, in ascending order of the bytes of
	// their keys. Both may be empty; neither has to be a key. Memory is bounded, however many blobs there are, and the
	// loop may put and delete blobs: those that are put or deleted meanwhile may be missing or listed. The last element is
	// an error if the listing failed or ctx is done.
	List(ctx context.Context, prefix, after string) iter.Seq2[Entry, error]
	// DeleteUnfinished deletes what is left of Puts that were not finished, for example because their process was killed,
	// and returns the number of Puts. It deletes only what is older than that. A Put that is still in progress fails if it
	// began so long ago, so olderThan must be longer than any Put takes.
	DeleteUnfinished(ctx context.Context, olderThan time.Duration) (int, error)
	// Check returns nil while the bucket can be used. It is meant for readiness checks.
	Check(ctx context.Context) error
}
