// Package blob defines how files are stored: streamed in both directions, never held whole in memory.
//
// Package s3 implements it for S3-compatible object stores, package directory for a directory of the local disk. Every
// implementation must pass the conformance suite in package blobtest.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Errors that callers decide by.
var (
	// ErrNotFound means that there is no such blob, or no such bucket.
	ErrNotFound = errors.New("blob not found")
	// ErrExists means that a create-once Put found the key taken; the earlier blob is unchanged.
	ErrExists = errors.New("blob already exists")
	// ErrInvalidKey means that a key is empty, too long, or would name something outside the bucket.
	ErrInvalidKey = errors.New("invalid blob key")
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

// Bucket stores blobs by key. A key is 1 to 512 bytes of letters, digits, "-", "_" and ".", in segments separated by "/";
// no segment is empty, "." or "..". Buckets are safe for concurrent use.
type Bucket interface {
	// Put streams content to key; size is in bytes or UnknownSize. The blob becomes visible as a whole and durably when Put
	// returns nil. If content fails, its error is returned (wrapped) and nothing is visible; a blob that was there before
	// is unchanged. ctx should outlive a failure of content, because the cleanup of an unfinished upload uses it too.
	Put(ctx context.Context, key string, content io.Reader, size int64, options PutOptions) error
	// Get streams length bytes from offset; a negative length means to the end. The caller closes the stream. It returns
	// ErrNotFound if there is no such blob.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	// Stat returns the size in bytes, or ErrNotFound.
	Stat(ctx context.Context, key string) (int64, error)
	// Delete removes a blob. Deleting one that does not exist is not an error.
	Delete(ctx context.Context, key string) error
	// Check returns nil while the bucket can be used, for readiness.
	Check(ctx context.Context) error
}

// NewReaderAt returns a reader of the blob that makes one ranged Get per call, for as long as ctx lives. size is the
// blob's size in bytes.
func NewReaderAt(ctx context.Context, bucket Bucket, key string, size int64) io.ReaderAt {
	return &readerAt{ctx: ctx, bucket: bucket, key: key, size: size}
}

type readerAt struct {
	ctx    context.Context //nolint:containedctx // io.ReaderAt has no parameter for one
	bucket Bucket
	key    string
	size   int64
}

// ReadAt reads len(p) bytes from offset, or returns io.EOF with what there is.
func (r *readerAt) ReadAt(p []byte, offset int64) (int, error) {
	if offset >= r.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	length := min(int64(len(p)), r.size-offset)
	body, err := r.bucket.Get(r.ctx, r.key, offset, length)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	n, err := io.ReadFull(body, p[:length])
	if err != nil {
		return n, fmt.Errorf("read %s at %d: %w", r.key, offset, err)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
