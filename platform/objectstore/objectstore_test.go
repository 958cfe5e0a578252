package objectstore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"runtime"
	"testing"
	"testing/iotest"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/objectstore"
)

func TestMain(m *testing.M) { testbench.Main(m) }

type testBundle struct {
	store  *objectstore.Store
	bucket string
	bench  *testbench.Bench
}

func setup(t testing.TB) testBundle {
	t.Helper()
	bench := testbench.New(t)
	store, err := objectstore.New(objectstore.Config{
		Endpoint: bench.StoreEndpoint, Region: bench.StoreRegion,
		AccessKey: bench.StoreAccessKey, SecretKey: config.NewSecret(bench.StoreSecretKey),
	})
	require.NoError(t, err)
	return testBundle{store: store, bucket: bench.SourcesBucket, bench: bench}
}

func random(t testing.TB, size int) []byte {
	t.Helper()
	content := make([]byte, size)
	_, err := rand.Read(content)
	require.NoError(t, err)
	return content
}

// object reads a whole object, or gives the error of getting it.
func (b testBundle) object(t *testing.T, key string, offset, length int64) ([]byte, error) {
	t.Helper()
	body, err := b.store.Get(t.Context(), b.bucket, key, offset, length)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

func TestPutAndGet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, size := range map[string]int{"empty": 0, "small": 10, "part": 5 << 20, "parts": 12<<20 + 1} {
		for how, given := range map[string]int64{"known": int64(size), "unknown": objectstore.UnknownSize} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				content := random(t, size)
				key := name + "/" + how
				require.NoError(t, b.store.Put(t.Context(), b.bucket, key, bytes.NewReader(content), given, objectstore.PutOptions{}))
				stored, err := b.store.Stat(t.Context(), b.bucket, key)
				require.NoError(t, err)
				require.EqualValues(t, size, stored)
				read, err := b.object(t, key, 0, -1)
				require.NoError(t, err)
				require.True(t, bytes.Equal(content, read))
			})
		}
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	content := []byte("0123456789")
	require.NoError(t, b.store.Put(t.Context(), b.bucket, "k", bytes.NewReader(content), 10, objectstore.PutOptions{}))
	for _, c := range []struct {
		offset, length int64
		want           string
	}{{0, -1, "0123456789"}, {3, -1, "3456789"}, {0, 4, "0123"}, {3, 4, "3456"}, {9, 1, "9"}, {9, -1, "9"}} {
		read, err := b.object(t, "k", c.offset, c.length)
		require.NoError(t, err)
		require.Equal(t, c.want, string(read))
	}
}

func TestReaderAtKeepsItsContract(t *testing.T) {
	t.Parallel()
	b := setup(t)
	content := random(t, 1000)
	require.NoError(t, b.store.Put(t.Context(), b.bucket, "k", bytes.NewReader(content), 1000, objectstore.PutOptions{}))
	reader := b.store.ReaderAt(t.Context(), b.bucket, "k", 1000)
	require.NoError(t, iotest.TestReader(io.NewSectionReader(reader, 0, 1000), content))
	_, err := reader.ReadAt(make([]byte, 1), 1000)
	require.ErrorIs(t, err, io.EOF)
}

func TestMissing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.object(t, "nothing", 0, -1)
	require.ErrorIs(t, err, objectstore.ErrNotFound)
	_, err = b.store.Stat(t.Context(), b.bucket, "nothing")
	require.ErrorIs(t, err, objectstore.ErrNotFound)
	require.NoError(t, b.store.Delete(t.Context(), b.bucket, "nothing"), "deleting twice is no error")
	require.ErrorIs(t, b.store.Check(t.Context(), "no-such-bucket"), objectstore.ErrNotFound)
}

func TestCreateOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	once := objectstore.PutOptions{CreateOnce: true}
	require.NoError(t, b.store.Put(t.Context(), b.bucket, "k", bytes.NewReader([]byte("first")), 5, once))
	require.ErrorIs(t, b.store.Put(t.Context(), b.bucket, "k", bytes.NewReader([]byte("second")), 6, once), objectstore.ErrExists)
	read, err := b.object(t, "k", 0, -1)
	require.NoError(t, err)
	require.Equal(t, "first", string(read))
}

func TestFailedStreamLeavesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	broken := errors.New("the client is gone")
	for name, size := range map[string]int64{"unknown": objectstore.UnknownSize, "known": 20 << 20} {
		content := io.MultiReader(bytes.NewReader(random(t, 11<<20)), iotest.ErrReader(broken))
		err := b.store.Put(t.Context(), b.bucket, name, content, size, objectstore.PutOptions{})
		require.ErrorIs(t, err, broken, name)
		_, err = b.store.Stat(t.Context(), b.bucket, name)
		require.ErrorIs(t, err, objectstore.ErrNotFound, name)
	}
	require.Empty(t, b.incomplete(t), "no parts are left either")
}

func (b testBundle) incomplete(t *testing.T) []string {
	t.Helper()
	client, err := minio.New(b.bench.StoreEndpoint[len("http://"):], &minio.Options{
		Creds: credentials.NewStaticV4(b.bench.StoreAccessKey, b.bench.StoreSecretKey, ""),
	})
	require.NoError(t, err)
	var keys []string
	for upload := range client.ListIncompleteUploads(t.Context(), b.bucket, "", true) {
		require.NoError(t, upload.Err)
		keys = append(keys, upload.Key)
	}
	return keys
}

func TestStreamOfUnknownSizeTakesLittleMemory(t *testing.T) { //nolint:paralleltest // it measures the process's heap
	b := setup(t)
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	sample := func(p []byte) (int, error) { return len(p), nil }
	content := io.LimitReader(readerFunc(sample), 100<<20)
	require.NoError(t, b.store.Put(t.Context(), b.bucket, "large", content, objectstore.UnknownSize, objectstore.PutOptions{}))
	runtime.ReadMemStats(&during)
	require.Less(t, during.TotalAlloc-before.TotalAlloc, uint64(40<<20), "all allocations for 100 MiB, collected or not")
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestEnsureBucketTwiceAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	bucket := b.bucket + "-more"
	done := make(chan error, 8)
	for range cap(done) {
		go func() { done <- b.store.EnsureBucket(t.Context(), bucket) }()
	}
	for range cap(done) {
		require.NoError(t, <-done)
	}
	require.NoError(t, b.store.Check(t.Context(), bucket))
}

func TestPresignedURLNeedsNoCredentials(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.store.Put(t.Context(), b.bucket, "k", bytes.NewReader([]byte("open")), 4, objectstore.PutOptions{}))
	url, err := b.store.Presign(t.Context(), b.bucket, "k", time.Minute)
	require.NoError(t, err)
	response, err := http.Get(url.String())
	require.NoError(t, err)
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "open", string(read))
}

func TestStoreThatIsDownIsAnErrorSoon(t *testing.T) {
	t.Parallel()
	store, err := objectstore.New(objectstore.Config{Endpoint: "http://127.0.0.1:1", Region: "us-east-1"})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.Error(t, store.Check(ctx, "b"))
	require.NoError(t, ctx.Err())
}

func TestEndpointIsChecked(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"127.0.0.1:9000", "ftp://h", "http://", "http://user:secret@h", "http://h/path"} {
		err := objectstore.Config{Endpoint: endpoint}.Validate()
		require.ErrorContains(t, err, "store-endpoint", endpoint)
		require.NotContains(t, err.Error(), "secret@")
	}
}

func BenchmarkPutSmall(b *testing.B) {
	bundle := setup(b)
	content := random(b, 40<<10)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if err := bundle.store.Put(b.Context(), bundle.bucket, "k", bytes.NewReader(content), int64(len(content)), objectstore.PutOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
