package s3

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/docmill/docmill/contract/blob"
)

// List implements blob.Bucket. It reads 1,000 keys at a time.
func (b *Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[blob.Entry, error] {
	return func(yield func(blob.Entry, error) bool) {
		listing, cancel := context.WithCancel(ctx) // the client requires it when the loop ends early
		defer cancel()
		objects := b.client.ListObjectsIter(listing, b.name, minio.ListObjectsOptions{Prefix: prefix, StartAfter: after, Recursive: true})
		for object := range objects {
			if object.Err != nil {
				yield(blob.Entry{}, fmt.Errorf("list bucket %s: %w", b.name, translate(object.Err)))
				return
			}
			// Some stores ignore the parameter that names the first key; others may hold objects that are not ours.
			if object.Key <= after || blob.ValidateKey(object.Key) != nil {
				continue
			}
			if !yield(blob.Entry{Key: object.Key, Size: object.Size, ModifiedAt: object.LastModified}, nil) {
				return
			}
		}
		if ctx.Err() != nil { // the client may end without an error
			yield(blob.Entry{}, fmt.Errorf("list bucket %s: %w", b.name, ctx.Err()))
		}
	}
}

// DeleteUnfinished implements blob.Bucket: it aborts multipart uploads. MinIO does not list those that began before its
// last restart; it deletes them by itself after 24 hours.
func (b *Bucket) DeleteUnfinished(ctx context.Context, olderThan time.Duration) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now().Add(-olderThan)
	deleted := 0
	for upload := range b.client.ListIncompleteUploads(ctx, b.name, "", true) {
		if upload.Err != nil {
			return deleted, fmt.Errorf("list the unfinished uploads in bucket %s: %w", b.name, translate(upload.Err))
		}
		if upload.Initiated.After(began) {
			continue
		}
		err := b.client.AbortMultipartUpload(ctx, b.name, upload.Key, upload.UploadID)
		if minio.ToErrorResponse(err).Code == minio.NoSuchUpload {
			continue // it ended meanwhile
		}
		if err != nil {
			return deleted, fmt.Errorf("abort the upload of %q in bucket %s: %w", upload.Key, b.name, translate(err))
		}
		deleted++
	}
	return deleted, nil
}
