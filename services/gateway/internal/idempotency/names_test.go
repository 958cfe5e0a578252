package idempotency_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

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
