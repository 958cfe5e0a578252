// Package s3 stores blobs in MinIO or any other S3-compatible object store.
package s3

import (
	"fmt"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"

	"github.com/docmill/docmill/platform/config"
)

// Config configures the connection to the object store.
type Config struct {
	Endpoint      string        `default:"http://127.0.0.1:9000" help:"URL of the S3-compatible object store; https for TLS."`
	Region        string        `default:"us-east-1" help:"Region used to sign requests."`
	AccessKey     string        `name:"access-key" default:"docmill" help:"Access key of the object store."`
	SecretKey     config.Secret `name:"secret-key-file" help:"File that contains the secret key of the object store." placeholder:"FILE"`
	SourcesBucket string        `name:"sources-bucket" default:"docmill-sources" help:"Bucket for uploaded documents."`
	ResultsBucket string        `name:"results-bucket" default:"docmill-results" help:"Bucket for results."`
}

// Validate checks that the endpoint is the URL of a host.
func (c Config) Validate() error {
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return fmt.Errorf("setting store-endpoint: %q is not a URL such as http://127.0.0.1:9000", c.Endpoint)
	}
	if endpoint.User != nil || endpoint.Path != "" && endpoint.Path != "/" {
		return fmt.Errorf("setting store-endpoint: %q must contain only scheme, host and port; credentials have their own settings",
			endpoint.Redacted())
	}
	if c.SourcesBucket == c.ResultsBucket {
		return fmt.Errorf("setting store-results-bucket: %s is also the store-sources-bucket; each needs a bucket of its own", c.ResultsBucket)
	}
	return nil
}

// Limits of the client. MaxRetries is 10 in the library: with its back-off a store that is down would hold an upload
// for minutes.
const (
	maxRetries = 3
	// responseHeaderTimeout ends a request to a store that accepts connections but does not answer.
	responseHeaderTimeout = 30 * time.Second
)

// Store is a client of the object store, safe for concurrent use.
type Store struct {
	client *minio.Core
	region string
}

// New creates a client. It does not connect: Check or the first use finds out whether the store is up.
func New(config Config) (*Store, error) {
	endpoint, err := url.Parse(config.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("setting store-endpoint: %w", err)
	}
	transport, err := minio.DefaultTransport(endpoint.Scheme == "https")
	if err != nil {
		return nil, fmt.Errorf("create the object store's transport: %w", err)
	}
	transport.ResponseHeaderTimeout = responseHeaderTimeout
	transport.MaxIdleConnsPerHost = 256
	none := propagation.NewCompositeTextMapPropagator() // the store is not ours, and the header would not be signed
	client, err := minio.NewCore(endpoint.Host, &minio.Options{
		Creds:      credentials.NewStaticV4(config.AccessKey, config.SecretKey.Reveal(), ""),
		Secure:     endpoint.Scheme == "https",
		Region:     config.Region, // saves a round trip per bucket
		MaxRetries: maxRetries,
		Transport:  otelhttp.NewTransport(transport, otelhttp.WithPropagators(none)),
	})
	if err != nil {
		return nil, fmt.Errorf("create the object store's client: %w", err)
	}
	return &Store{client: client, region: config.Region}, nil
}

// Bucket returns the bucket with that name. It does not create the bucket; Component does.
func (s *Store) Bucket(name string) *Bucket { return &Bucket{client: s.client, name: name} }
