package idempotency_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/claim"
	"github.com/docmill/docmill/platform/directory"
	"github.com/docmill/docmill/services/gateway/internal/idempotency"
)

func sources(t *testing.T) *directory.Bucket {
	t.Helper()
	bucket, err := directory.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	return bucket
}

// TestAllGatewaysDeriveTheSameNames begins with none that has the secret.
func TestAllGatewaysDeriveTheSameNames(t *testing.T) {
	t.Parallel()
	bucket := sources(t)
	names := make([]string, 16)
	var group sync.WaitGroup
	for i := range names {
		group.Go(func() {
			var err error
			names[i], err = idempotency.NewNames(bucket).ClaimKey(t.Context(), "", "key")
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, name := range names {
		require.Equal(t, names[0], name)
	}
	require.True(t, claim.IsKey(names[0]))
	require.NoError(t, blob.ValidateKey(names[0]))
	require.NotContains(t, names[0], "key")

	other, err := idempotency.NewNames(sources(t)).ClaimKey(t.Context(), "", "key")
	require.NoError(t, err)
	require.NotEqual(t, names[0], other, "another deployment has another secret")
}

func TestNamesDiffer(t *testing.T) {
	t.Parallel()
	n := idempotency.NewNames(sources(t))
	seen := map[string]bool{}
	for _, pair := range [][2]string{{"", "a"}, {"", "b"}, {"a", ""}, {"a", "b"}, {"", "ab"}, {"ab", ""}, {"", "1:a"}, {"1", ":a"}} {
		name, err := n.ClaimKey(t.Context(), pair[0], pair[1])
		require.NoError(t, err)
		require.False(t, seen[name], pair)
		seen[name] = true
	}
}

func TestDamagedSecretIsNotUsed(t *testing.T) {
	t.Parallel()
	bucket := sources(t)
	require.NoError(t, bucket.Put(t.Context(), claim.SecretKey, strings.NewReader("short"), 5, blob.PutOptions{}))
	_, err := idempotency.NewNames(bucket).ClaimKey(t.Context(), "", "key")
	require.ErrorContains(t, err, claim.SecretKey)
}

// forgetful is a store that ignores that a blob is to be created once.
type forgetful struct{ blob.Bucket }

// Put implements blob.Bucket.
func (f forgetful) Put(ctx context.Context, key string, content io.Reader, size int64, options blob.PutOptions) error {
	options.CreateOnce = false
	return f.Bucket.Put(ctx, key, content, size, options)
}

// TestStoreThatReplacesIsNotUsed requires that a gateway does not run on a store on which two requests with a key would both succeed.
func TestStoreThatReplacesIsNotUsed(t *testing.T) {
	t.Parallel()
	bucket := sources(t)
	_, err := idempotency.NewNames(forgetful{bucket}).ClaimKey(t.Context(), "", "key")
	require.ErrorIs(t, err, idempotency.ErrNotOnce)
	err = idempotency.NewNames(forgetful{bucket}).Run(zap.NewNop())(t.Context(), func() {}, make(chan struct{}))
	require.ErrorIs(t, err, idempotency.ErrNotOnce)
	stored := func() string {
		content, err := bucket.Get(t.Context(), claim.SecretKey, 0, -1)
		require.NoError(t, err)
		defer content.Close()
		secret, err := io.ReadAll(content)
		require.NoError(t, err)
		return string(secret)
	}
	before := stored()
	_, err = idempotency.NewNames(forgetful{bucket}).ClaimKey(t.Context(), "", "key")
	require.ErrorIs(t, err, idempotency.ErrNotOnce)
	require.Equal(t, before, stored(), "the secret is kept")
}

// away is a store that cannot be reached at first.
type away struct {
	blob.Bucket

	requests atomic.Int32
}

// Get implements blob.Bucket.
func (a *away) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if a.requests.Add(1) < 3 {
		return nil, errors.New("away")
	}
	return a.Bucket.Get(ctx, key, offset, length)
}

// TestRunWaitsForTheStore requires that a gateway starts while the store is away, and reads the secret once.
func TestRunWaitsForTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bucket := &away{Bucket: sources(t)}
		names := idempotency.NewNames(bucket)
		drain, ended := make(chan struct{}), make(chan error, 1)
		go func() { ended <- names.Run(zap.NewNop())(t.Context(), func() {}, drain) }()
		time.Sleep(time.Minute)
		asked := bucket.requests.Load()
		_, err := names.ClaimKey(t.Context(), "", "key")
		require.NoError(t, err)
		require.Equal(t, asked, bucket.requests.Load())
		close(drain)
		require.NoError(t, <-ended)
	})
}

// full is a store without space.
type full struct{ blob.Bucket }

// Put implements blob.Bucket.
func (full) Put(context.Context, string, io.Reader, int64, blob.PutOptions) error {
	return blob.ErrFull
}

// TestFullStoreIsRead requires that submissions can be repeated after a restart with a store that is full, and that the store is
// checked when it has space.
func TestFullStoreIsRead(t *testing.T) {
	t.Parallel()
	bucket := sources(t)
	want, err := idempotency.NewNames(bucket).ClaimKey(t.Context(), "", "key")
	require.NoError(t, err)
	names := idempotency.NewNames(full{bucket})
	got, err := names.ClaimKey(t.Context(), "", "key")
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// laterForgetful is a store that is full at first, and then ignores that a blob is to be created once.
type laterForgetful struct {
	forgetful

	puts atomic.Int32
}

// Put implements blob.Bucket.
func (l *laterForgetful) Put(ctx context.Context, key string, content io.Reader, size int64, options blob.PutOptions) error {
	if l.puts.Add(1) < 3 {
		return blob.ErrFull
	}
	return l.forgetful.Put(ctx, key, content, size, options)
}

// TestFullStoreIsCheckedLater requires that a gateway stops when it finds out that the store replaces blobs.
func TestFullStoreIsCheckedLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bucket := sources(t)
		_, err := idempotency.NewNames(bucket).ClaimKey(t.Context(), "", "key")
		require.NoError(t, err)
		names := idempotency.NewNames(&laterForgetful{forgetful: forgetful{bucket}})
		require.ErrorIs(t, names.Run(zap.NewNop())(t.Context(), func() {}, make(chan struct{})), idempotency.ErrNotOnce)
	})
}
