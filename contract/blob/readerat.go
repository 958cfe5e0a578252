package blob

import (
	"context"
	"fmt"
	"io"
)

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
	if offset < 0 {
		return 0, fmt.Errorf("read %s: negative offset %d", r.key, offset)
	}
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
