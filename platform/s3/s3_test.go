package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/blob/blobtest"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/s3"
)

func TestMain(m *testing.M) { testbench.Main(m) }

type testBundle struct {
	store  *s3.Store
	bucket *s3.Bucket
	bench  *testbench.Bench
}

func setup(t testing.TB) testBundle {
	t.Helper()
	bench := testbench.New(t)
	store, err := s3.New(s3.Config{
		Endpoint: bench.StoreEndpoint, Region: bench.StoreRegion,
		AccessKey: bench.StoreAccessKey, SecretKey: config.NewSecret(bench.StoreSecretKey),
	})
	require.NoError(t, err)
	return testBundle{store: store, bucket: store.Bucket(bench.SourcesBucket), bench: bench}
}

func TestConformance(t *testing.T) { //nolint:paralleltest // it measures the heap
	blobtest.Run(t, func(t *testing.T) blob.Bucket {
		t.Helper()
		b := setup(t)
		t.Cleanup(func() { require.Empty(t, b.incomplete(t), "unfinished uploads are left") })
		return b.bucket
	})
}

func TestFailedStreamLeavesNoParts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	broken := errors.New("the client has left")
	content := io.MultiReader(bytes.NewReader(make([]byte, 11<<20)), iotest.ErrReader(broken))
	err := b.bucket.Put(t.Context(), "key", content, blob.UnknownSize, blob.PutOptions{})
	require.ErrorIs(t, err, broken)
	require.Empty(t, b.incomplete(t, "key"))
}

// incomplete lists unfinished multipart uploads. MinIO lists them by their exact key only.
func (b testBundle) incomplete(t *testing.T, keys ...string) []string {
	t.Helper()
	client, err := minio.New(b.bench.StoreEndpoint[len("http://"):], &minio.Options{
		Creds: credentials.NewStaticV4(b.bench.StoreAccessKey, b.bench.StoreSecretKey, ""),
	})
	require.NoError(t, err)
	var found []string
	for _, key := range append(keys, "", "new", "kept", "once", "large") {
		for upload := range client.ListIncompleteUploads(context.Background(), b.bench.SourcesBucket, key, true) {
			require.NoError(t, upload.Err)
			found = append(found, upload.Key)
		}
	}
	return found
}

func TestStreamOfUnknownSizeTakesLittleMemory(t *testing.T) { //nolint:paralleltest // it measures the process's heap
	b := setup(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	content := io.LimitReader(readerFunc(func(p []byte) (int, error) { return len(p), nil }), 100<<20)
	require.NoError(t, b.bucket.Put(t.Context(), "large", content, blob.UnknownSize, blob.PutOptions{}))
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(40<<20), "all allocations for 100 MiB, collected or not")
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestWrongClockIsRejected: converters rely on this rejection before they end a job because of their clock.
func TestWrongClockIsRejected(t *testing.T) {
	t.Parallel()
	b := setup(t)
	upstream, err := url.Parse(b.bench.StoreEndpoint)
	require.NoError(t, err)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(upstream)
		r.Out.Host = r.In.Host // the host is part of the signature
	}})
	t.Cleanup(proxy.Close)
	proxy.Config.SetKeepAlivesEnabled(false) // so that no goroutine of a connection remains
	check := func(t *testing.T) error {
		t.Helper()
		store, err := s3.New(s3.Config{
			Endpoint: proxy.URL, Region: b.bench.StoreRegion,
			AccessKey: b.bench.StoreAccessKey, SecretKey: config.NewSecret(b.bench.StoreSecretKey),
		})
		require.NoError(t, err)
		return store.Bucket(b.bench.SourcesBucket).Check(t.Context())
	}
	require.NoError(t, check(t))
	synctest.Test(t, func(t *testing.T) { require.Error(t, check(t)) }) // its clock starts in the year 2000
}

func TestMissingBucket(t *testing.T) {
	t.Parallel()
	missing := setup(t).store.Bucket("no-such-bucket")
	require.ErrorIs(t, missing.Check(t.Context()), blob.ErrNotFound)
	_, err := missing.Get(t.Context(), "key", 0, -1)
	require.Error(t, err)
	require.NotErrorIs(t, err, blob.ErrNotFound, "the blob may exist in the right bucket")
}

// TestBareAnswersOfAProxy has a proxy in front of the store that first forwards answers and then sends its own, which say
// nothing about a blob.
func TestBareAnswersOfAProxy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	upstream, err := url.Parse(b.bench.StoreEndpoint)
	require.NoError(t, err)
	own := &atomic.Int64{} // the status of its own answers
	passing := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(upstream)
		r.Out.Host = r.In.Host // the host is part of the signature
	}}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := int(own.Load()); status != 0 {
			http.Error(w, http.StatusText(status), status)
		} else {
			passing.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(proxy.Close)
	store, err := s3.New(s3.Config{
		Endpoint: proxy.URL, Region: b.bench.StoreRegion,
		AccessKey: b.bench.StoreAccessKey, SecretKey: config.NewSecret(b.bench.StoreSecretKey),
	})
	require.NoError(t, err)
	bucket := store.Bucket(b.bench.SourcesBucket)
	put := func(key string) error {
		return bucket.Put(t.Context(), key, bytes.NewReader(nil), 0, blob.PutOptions{CreateOnce: true})
	}
	_, err = bucket.Get(t.Context(), "key", 0, -1)
	require.ErrorIs(t, err, blob.ErrNotFound)
	_, err = bucket.Stat(t.Context(), "key")
	require.ErrorIs(t, err, blob.ErrNotFound)
	require.NoError(t, put("taken"))
	require.ErrorIs(t, put("taken"), blob.ErrExists)

	own.Store(http.StatusNotFound)
	_, err = bucket.Get(t.Context(), "key", 0, -1)
	require.Error(t, err)
	require.NotErrorIs(t, err, blob.ErrNotFound)
	_, err = bucket.Stat(t.Context(), "key")
	require.Error(t, err)
	require.NotErrorIs(t, err, blob.ErrNotFound)
	own.Store(http.StatusPreconditionFailed)
	err = put("free")
	require.Error(t, err)
	require.NotErrorIs(t, err, blob.ErrExists)
}

func TestComponentCreatesBucketsConcurrently(t *testing.T) {
	t.Parallel()
	b := setup(t)
	names := []string{b.bench.SourcesBucket, b.bench.SourcesBucket + "-more"}
	drain, done := make(chan struct{}), make(chan error, 4)
	for range cap(done) {
		component := b.store.Component(zaptest.NewLogger(t), names...)
		go func() { done <- component.Run(t.Context(), func() {}, drain) }()
	}
	created := b.store.Bucket(names[1])
	require.Eventually(t, func() bool { return created.Check(t.Context()) == nil }, time.Minute, 5*time.Millisecond)
	close(drain)
	for range cap(done) {
		require.NoError(t, <-done)
	}
}

func TestStoreThatIsDownFailsSoon(t *testing.T) {
	t.Parallel()
	store, err := s3.New(s3.Config{Endpoint: "http://127.0.0.1:1", Region: "us-east-1"})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.Error(t, store.Bucket("b").Check(ctx))
	require.NoError(t, ctx.Err())
}

func TestEndpointIsValidated(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"127.0.0.1:9000", "ftp://h", "http://", "http://user:secret@h", "http://h/path"} {
		err := s3.Config{Endpoint: endpoint}.Validate()
		require.ErrorContains(t, err, "store-endpoint", endpoint)
		require.NotContains(t, err.Error(), "secret@")
	}
}

func BenchmarkPut40KiB(b *testing.B) {
	bundle := setup(b)
	content := make([]byte, 40<<10)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if err := bundle.bucket.Put(b.Context(), "k", bytes.NewReader(content), int64(len(content)), blob.PutOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
