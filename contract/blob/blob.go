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
	// Delete removes a blob. Deleting one that does not exist is not an error.
	Delete(ctx context.Context, key string) error
	// Check returns nil while the bucket can be used. It is meant for readiness checks.
	Check(ctx context.Context) error
}
