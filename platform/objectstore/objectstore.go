// Package objectstore keeps files in MinIO or any other S3-compatible store: streamed both ways, never held whole.
package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/docmill/docmill/platform/config"
)

// Config says where the store is and who asks.
type Config struct {
	Endpoint      string        `default:"http://127.0.0.1:9000" help:"URL of the S3-compatible object store; https for TLS."`
	Region        string        `default:"us-east-1" help:"Region that requests are signed for."`
	AccessKey     string        `name:"access-key" default:"docmill" help:"Access key of the object store."`
	SecretKey     config.Secret `name:"secret-key-file" help:"File with the secret key of the object store." placeholder:"FILE"`
	SourcesBucket string        `name:"sources-bucket" default:"docmill-sources" help:"Bucket of the uploaded documents."`
	ResultsBucket string        `name:"results-bucket" default:"docmill-results" help:"Bucket of the results."`
}

// Validate refuses an endpoint that is no URL of a host.
func (c Config) Validate() error {
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return fmt.Errorf("setting store-endpoint: %q is no URL such as http://127.0.0.1:9000", c.Endpoint)
	}
	if endpoint.User != nil || endpoint.Path != "" && endpoint.Path != "/" {
		return fmt.Errorf("setting store-endpoint: %q must name scheme, host and port only; credentials have settings of their own", endpoint.Redacted())
	}
	return nil
}

// Errors that callers decide by.
var (
	// ErrNotFound says that there is no such object, or no such bucket.
	ErrNotFound = errors.New("object not found")
	// ErrExists says that a create-once put found the key taken; what stood there still stands.
	ErrExists = errors.New("object exists already")
)

// Limits of the client. MaxRetries is 10 in the library: with its back-off a store that is down would hold an upload
// for minutes.
const (
	maxRetries = 3
	// partSize is the least that S3 allows. A stream of unknown length is buffered one part at a time: 5 MiB keep the
	// heap at 11 MiB where the library's default takes 529 MiB, and allow 10,000 parts or 48.8 GiB.
	partSize = 5 << 20
	// singlePutLimit is the largest object that goes up in one request, streamed without a buffer: a failure in the
	// middle has to start again, so it stays small enough for that.
	singlePutLimit = 64 << 20
	// responseHeaderTimeout ends a request to a store that accepts connections and then says nothing.
	responseHeaderTimeout = 30 * time.Second
)

// Store is a client of the object store, safe for concurrent use.
type Store struct {
	client *minio.Core
	region string
}

// New makes a client. It does not connect: a store that is down is found out by Check or the first use.
func New(config Config) (*Store, error) {
	endpoint, err := url.Parse(config.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("setting store-endpoint: %w", err)
	}
	transport, err := minio.DefaultTransport(endpoint.Scheme == "https")
	if err != nil {
		return nil, fmt.Errorf("set up the object store's transport: %w", err)
	}
	transport.ResponseHeaderTimeout = responseHeaderTimeout
	transport.MaxIdleConnsPerHost = 256
	client, err := minio.NewCore(endpoint.Host, &minio.Options{
		Creds:      credentials.NewStaticV4(config.AccessKey, config.SecretKey.Reveal(), ""),
		Secure:     endpoint.Scheme == "https",
		Region:     config.Region, // saves a round trip for each bucket
		MaxRetries: maxRetries,
		Transport:  transport,
	})
	if err != nil {
		return nil, fmt.Errorf("set up the object store's client: %w", err)
	}
	return &Store{client: client, region: config.Region}, nil
}

// EnsureBucket creates a bucket that does not exist yet.
func (s *Store) EnsureBucket(ctx context.Context, bucket string) error {
	exists, err := s.client.BucketExists(ctx, bucket)
	if err != nil {
		return fmt.Errorf("look for bucket %s: %w", bucket, err)
	}
	if exists {
		return nil
	}
	err = s.client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{Region: s.region})
	if code := minio.ToErrorResponse(err).Code; code == minio.BucketAlreadyOwnedByYou || code == minio.BucketAlreadyExists {
		return nil // another replica was faster
	}
	if err != nil {
		return fmt.Errorf("create bucket %s: %w", bucket, err)
	}
	return nil
}

// Check returns nil when the store answers for the bucket: for readiness.
func (s *Store) Check(ctx context.Context, bucket string) error {
	exists, err := s.client.BucketExists(ctx, bucket)
	if err != nil {
		return fmt.Errorf("look for bucket %s: %w", bucket, err)
	}
	if !exists {
		return fmt.Errorf("bucket %s: %w", bucket, ErrNotFound)
	}
	return nil
}

// UnknownSize is the size of a stream whose end is not known beforehand.
const UnknownSize int64 = -1

// PutOptions are the optional parts of a Put.
type PutOptions struct {
	ContentType string
	// CreateOnce makes a second put of the same key fail with ErrExists.
	CreateOnce bool
}

// Put streams content to a key; size is in bytes or UnknownSize. An object becomes visible only as a whole: when content
// fails, its error is returned (wrapped) and nothing is there. Give a ctx that outlives the failure of content, because
// the clean-up of an unfinished upload uses it too.
func (s *Store) Put(ctx context.Context, bucket, key string, content io.Reader, size int64, options PutOptions) error {
	put := minio.PutObjectOptions{
		ContentType:      options.ContentType,
		PartSize:         partSize,
		DisableMultipart: size >= 0 && size <= singlePutLimit,
	}
	if options.CreateOnce {
		put.SetMatchETagExcept("*")
	}
	_, err := s.client.Client.PutObject(ctx, bucket, key, content, size, put)
	if err != nil {
		return fmt.Errorf("put %s/%s: %w", bucket, key, translate(err))
	}
	return nil
}

// Get streams length bytes of an object from offset; a negative length means to the end. The caller closes the stream.
func (s *Store) Get(ctx context.Context, bucket, key string, offset, length int64) (io.ReadCloser, error) {
	var options minio.GetObjectOptions
	if err := setRange(&options, offset, length); err != nil {
		return nil, fmt.Errorf("get %s/%s: %w", bucket, key, err)
	}
	body, _, _, err := s.client.GetObject(ctx, bucket, key, options)
	if err != nil {
		return nil, fmt.Errorf("get %s/%s: %w", bucket, key, translate(err))
	}
	return body, nil
}

func setRange(options *minio.GetObjectOptions, offset, length int64) error {
	switch {
	case offset == 0 && length < 0:
		return nil
	case length < 0:
		return options.SetRange(offset, 0) // the library's way to say "from offset to the end"
	default:
		return options.SetRange(offset, offset+length-1)
	}
}

// Stat gives an object's size in bytes.
func (s *Store) Stat(ctx context.Context, bucket, key string) (int64, error) {
	info, err := s.client.StatObject(ctx, bucket, key, minio.StatObjectOptions{})
	if err != nil {
		return 0, fmt.Errorf("stat %s/%s: %w", bucket, key, translate(err))
	}
	return info.Size, nil
}

// Delete removes an object; one that is not there is no error.
func (s *Store) Delete(ctx context.Context, bucket, key string) error {
	if err := s.client.RemoveObject(ctx, bucket, key, minio.RemoveObjectOptions{}); err != nil {
		return fmt.Errorf("delete %s/%s: %w", bucket, key, translate(err))
	}
	return nil
}

// Presign makes a URL that lets its holder get the object until expires has passed, at most seven days. It is valid for
// the endpoint's own host name only: a signature covers it.
func (s *Store) Presign(ctx context.Context, bucket, key string, expires time.Duration) (*url.URL, error) {
	presigned, err := s.client.PresignedGetObject(ctx, bucket, key, expires, nil)
	if err != nil {
		return nil, fmt.Errorf("presign %s/%s: %w", bucket, key, err)
	}
	return presigned, nil
}

// ReaderAt reads pieces of an object, one ranged request a call, for as long as ctx lives. size is the object's.
func (s *Store) ReaderAt(ctx context.Context, bucket, key string, size int64) io.ReaderAt {
	return &readerAt{ctx: ctx, store: s, bucket: bucket, key: key, size: size}
}

type readerAt struct {
	ctx         context.Context //nolint:containedctx // io.ReaderAt has no place for one
	store       *Store
	bucket, key string
	size        int64
}

// ReadAt fills p from offset on, or returns io.EOF with what there was.
func (r *readerAt) ReadAt(p []byte, offset int64) (int, error) {
	if offset >= r.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	length := min(int64(len(p)), r.size-offset)
	body, err := r.store.Get(r.ctx, r.bucket, r.key, offset, length)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	n, err := io.ReadFull(body, p[:length])
	if err != nil {
		return n, fmt.Errorf("read %s/%s at %d: %w", r.bucket, r.key, offset, err)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// translate gives the store's answers the names of this package and keeps the rest of the chain.
func translate(err error) error {
	response := minio.ToErrorResponse(err)
	switch {
	case response.Code == minio.NoSuchKey, response.Code == minio.NoSuchBucket, response.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case response.StatusCode == http.StatusPreconditionFailed:
		return fmt.Errorf("%w: %w", ErrExists, err)
	}
	return err
}
