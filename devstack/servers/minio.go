package servers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/docmill/docmill/devstack/daemon"
	"github.com/docmill/docmill/devstack/install"
	"github.com/docmill/docmill/devstack/port"
	"github.com/docmill/docmill/devstack/process"
)

const (
	minIOName = "MinIO"
	// Region is the region of every bucket: MinIO's default.
	Region = "us-east-1"
)

// Positions in minIOSettings.Ports.
const (
	storePort = iota
	consolePort
	minIOPorts
)

type minIOSettings struct {
	Ports     []int  `json:"ports"`
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
}

// MinIO is an object store.
type MinIO struct {
	*daemon.Daemon
	// Endpoint is a URL: http://127.0.0.1:20002
	Endpoint string
	// AccessKey and SecretKey are those of the root user.
	AccessKey, SecretKey string

	dir      string
	logFile  func(string) string
	tools    install.Tools
	settings minIOSettings
}

func newMinIO(dir string, logFile func(string) string, tools install.Tools, s minIOSettings) *MinIO {
	m := &MinIO{dir: dir, logFile: logFile, tools: tools, settings: s, AccessKey: s.AccessKey, SecretKey: s.SecretKey}
	m.Daemon = daemon.New(minIOName, m.launchStore)
	return m
}

func (m *MinIO) settle() { m.Endpoint = "http://" + port.Address(m.settings.Ports[storePort]) }

func (m *MinIO) launchStore(ctx context.Context) (*process.Process, error) {
	data := filepath.Join(m.dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("create MinIO's directory: %w", err)
	}
	store, err := process.Start(process.Spec{
		Name: minIOName, Path: m.tools.MinIO, Dir: m.dir, LogFile: m.logFile("minio"),
		Args: []string{
			"server", "--quiet", "--address", port.Address(m.settings.Ports[storePort]),
			"--console-address", port.Address(m.settings.Ports[consolePort]), data,
		},
		Env: append(environment(m.dir),
			"MINIO_ROOT_USER="+m.AccessKey, "MINIO_ROOT_PASSWORD="+m.SecretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off"),
	})
	if err != nil {
		return nil, err
	}
	if err := store.WaitReady(ctx, m.probe); err != nil {
		store.Kill()
		return nil, err
	}
	return store, nil
}

// probe lists the buckets; MinIO answers 503 until it has loaded its state.
func (m *MinIO) probe(ctx context.Context) error {
	client, err := m.client()
	if err != nil {
		return err
	}
	_, err = client.ListBuckets(ctx)
	return err
}

func (m *MinIO) client() (*minio.Client, error) {
	client, err := minio.New(strings.TrimPrefix(m.Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(m.AccessKey, m.SecretKey, ""), Region: Region, MaxRetries: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("create a MinIO client: %w", err)
	}
	return client, nil
}

// CreateBucket creates an empty bucket. A bucket that exists is not an error.
func (m *MinIO) CreateBucket(ctx context.Context, name string) error {
	client, err := m.client()
	if err != nil {
		return err
	}
	err = client.MakeBucket(ctx, name, minio.MakeBucketOptions{Region: Region})
	if err != nil && minio.ToErrorResponse(err).Code != minio.BucketAlreadyOwnedByYou {
		return fmt.Errorf("create bucket %s: %w", name, err)
	}
	return nil
}

// RemoveBucket removes a bucket and its contents. A bucket that does not exist is not an error.
func (m *MinIO) RemoveBucket(ctx context.Context, name string) error {
	client, err := m.client()
	if err != nil {
		return err
	}
	err = client.RemoveBucketWithOptions(ctx, name, minio.RemoveBucketOptions{ForceDelete: true})
	if err != nil && minio.ToErrorResponse(err).Code != minio.NoSuchBucket {
		return fmt.Errorf("remove bucket %s: %w", name, err)
	}
	return nil
}

// Objects returns the keys of all objects in a bucket.
func (m *MinIO) Objects(ctx context.Context, bucket string) ([]string, error) {
	client, err := m.client()
	if err != nil {
		return nil, err
	}
	var keys []string
	for object := range client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			return nil, fmt.Errorf("list bucket %s: %w", bucket, object.Err)
		}
		keys = append(keys, object.Key)
	}
	return keys, nil
}

// Age makes all objects in a bucket look as if they had been stored at a time. Nothing else may write to it meanwhile.
func (m *MinIO) Age(ctx context.Context, bucket string, storedAt time.Time) error {
	client, err := m.client()
	if err != nil {
		return err
	}
	keys, err := m.Objects(ctx, bucket)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := age(ctx, client, bucket, key, storedAt); err != nil {
			return fmt.Errorf("store %s of bucket %s again: %w", key, bucket, err)
		}
	}
	return nil
}

func age(ctx context.Context, client *minio.Client, bucket, key string, storedAt time.Time) error {
	object, err := client.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer object.Close()
	info, err := object.Stat()
	if err != nil {
		return err
	}
	content, err := io.ReadAll(object)
	if err != nil {
		return err
	}
	options := minio.PutObjectOptions{ContentType: info.ContentType, DisableMultipart: true}
	options.Internal.SourceMTime = storedAt
	_, err = client.PutObject(ctx, bucket, key, bytes.NewReader(content), int64(len(content)), options)
	return err
}

// PutObject stores bytes with the MinIO client alone. Benchmarks compare Docmill with it.
func (m *MinIO) PutObject(ctx context.Context, bucket, key string, content []byte) error {
	client, err := m.client()
	if err != nil {
		return err
	}
	options := minio.PutObjectOptions{DisableMultipart: true}
	_, err = client.PutObject(ctx, bucket, key, bytes.NewReader(content), int64(len(content)), options)
	if err != nil {
		return fmt.Errorf("store %s in bucket %s: %w", key, bucket, err)
	}
	return nil
}
