package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/docmill/docmill/contract/blob"
)

const (
	// partSize is the least that S3 allows. A stream of unknown length is buffered one part at a time: 5 MiB keep the
	// heap at 11 MiB where the library's default takes 529 MiB, and allow 10,000 parts or 48.8 GiB.
	partSize = 5 << 20
	// singlePutLimit is the largest blob that is uploaded in one request, streamed without a buffer. A failure in the
	// middle has to start again, so the limit is small enough for that.
	singlePutLimit = 64 << 20
)

// Bucket is a bucket of the object store. It implements blob.Bucket.
type Bucket struct {
	client *minio.Core
	name   string
}

var _ blob.Bucket = (*Bucket)(nil)

// Put implements blob.Bucket. Content that can seek and knows its length, such as a bytes.Reader, is sent again when a
// request fails; any other content is read once.
func (b *Bucket) Put(ctx context.Context, key string, content io.Reader, size int64, options blob.PutOptions) error {
	if err := b.put(ctx, key, content, size, options); err != nil {
		return fmt.Errorf("put %q in bucket %s: %w", key, b.name, err)
	}
	return nil
}

func (b *Bucket) put(ctx context.Context, key string, content io.Reader, size int64, options blob.PutOptions) error {
	if err := blob.ValidateKey(key); err != nil {
		return err
	}
	content, err := sized(content, size)
	if err != nil {
		return err
	}
	put := minio.PutObjectOptions{
		ContentType:      options.ContentType,
		PartSize:         partSize,
		DisableMultipart: size >= 0 && size <= singlePutLimit,
	}
	if options.CreateOnce {
		put.SetMatchETagExcept("*")
	}
	_, err = b.client.Client.PutObject(ctx, b.name, key, content, size, put)
	return translate(err)
}

// sized returns content such that it cannot be stored if it is longer or shorter than size.
func sized(content io.Reader, size int64) (io.Reader, error) {
	if repeatable, ok := content.(interface {
		io.ReadSeeker
		Len() int
	}); ok && int64(repeatable.Len()) == size {
		return content, nil // unchanged: the client can rewind it for a retry
	}
	exact := blob.Exactly(content, size)
	if size != 0 {
		return exact, nil
	}
	// An HTTP client does not read a body of no bytes, so this is the only look at it.
	if _, err := io.Copy(io.Discard, exact); err != nil {
		return nil, err
	}
	return bytes.NewReader(nil), nil
}

// Get implements blob.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	body, err := b.get(ctx, key, offset, length)
	if err != nil {
		return nil, fmt.Errorf("get %q in bucket %s: %w", key, b.name, err)
	}
	return body, nil
}

func (b *Bucket) get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := blob.ValidateKey(key); err != nil {
		return nil, err
	}
	if length == 0 { // HTTP has no range of no bytes
		if _, err := b.Stat(ctx, key); err != nil {
			return nil, err
		}
		return http.NoBody, nil
	}
	var options minio.GetObjectOptions
	if err := setRange(&options, offset, length); err != nil {
		return nil, err
	}
	body, _, _, err := b.client.GetObject(ctx, b.name, key, options)
	if minio.ToErrorResponse(err).StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return http.NoBody, nil // it starts at the end or after it
	}
	if err != nil {
		return nil, translate(err)
	}
	return body, nil
}

func setRange(options *minio.GetObjectOptions, offset, length int64) error {
	switch {
	case offset < 0:
		return fmt.Errorf("negative offset %d", offset)
	case offset == 0 && length < 0:
		return nil
	case length < 0:
		return options.SetRange(offset, 0) // the library's notation of "from offset to the end"
	default:
		return options.SetRange(offset, offset+length-1)
	}
}

// Stat implements blob.Bucket.
func (b *Bucket) Stat(ctx context.Context, key string) (int64, error) {
	if err := blob.ValidateKey(key); err != nil {
		return 0, fmt.Errorf("stat %q in bucket %s: %w", key, b.name, err)
	}
	info, err := b.client.StatObject(ctx, b.name, key, minio.StatObjectOptions{})
	if err != nil {
		return 0, fmt.Errorf("stat %q in bucket %s: %w", key, b.name, translate(err))
	}
	return info.Size, nil
}

// Copy implements blob.Bucket. The store itself copies.
func (b *Bucket) Copy(ctx context.Context, key, from string) error {
	if err := errors.Join(blob.ValidateKey(key), blob.ValidateKey(from)); err != nil {
		return err
	}
	_, err := b.client.Client.CopyObject(ctx, minio.CopyDestOptions{Bucket: b.name, Object: key}, minio.CopySrcOptions{Bucket: b.name, Object: from})
	if err != nil {
		return fmt.Errorf("copy %q to %q in bucket %s: %w", from, key, b.name, translate(err))
	}
	return nil
}

// Delete implements blob.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := blob.ValidateKey(key); err != nil {
		return fmt.Errorf("delete %q in bucket %s: %w", key, b.name, err)
	}
	if err := b.client.RemoveObject(ctx, b.name, key, minio.RemoveObjectOptions{}); err != nil {
		return fmt.Errorf("delete %q in bucket %s: %w", key, b.name, translate(err))
	}
	return nil
}

// Check implements blob.Bucket. It returns nil if the store answers and has the bucket.
func (b *Bucket) Check(ctx context.Context) error {
	exists, err := b.client.BucketExists(ctx, b.name)
	if err != nil {
		return fmt.Errorf("look up bucket %s: %w", b.name, err)
	}
	if !exists {
		return fmt.Errorf("bucket %s: %w", b.name, blob.ErrNotFound)
	}
	return nil
}

// MinIO's error codes for a store without free space.
const (
	codeStorageFull   = "XMinioStorageFull"
	codeQuotaExceeded = "XMinioAdminBucketQuotaExceeded"
)

// translate maps the store's errors to those of package blob and keeps the chain.
func translate(err error) error {
	if err == nil {
		return nil
	}
	response := minio.ToErrorResponse(err)
	// The library invents a code for an answer without one, such as the bare 404 of a proxy that does not find the store.
	// Every S3 store sends the id of the request, in the body or as a header.
	fromStore := response.RequestID != ""
	switch {
	case fromStore && response.Code == minio.NoSuchKey: // a missing bucket is a mistake of the operator, not an answer about the blob
		return fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	case fromStore && response.StatusCode == http.StatusPreconditionFailed:
		return fmt.Errorf("%w: %w", blob.ErrExists, err)
	case response.Code == codeStorageFull, response.Code == codeQuotaExceeded, response.StatusCode == http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %w", blob.ErrFull, err)
	}
	return err
}
