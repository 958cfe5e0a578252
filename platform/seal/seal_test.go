package seal_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/seal"
)

func newKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key)
}

// box reads the keys as a service does.
func box(t *testing.T, keys string) (*seal.Box, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(path, []byte(keys), 0o600))
	var settings struct {
		Seal seal.Config `embed:""`
	}
	if err := config.Parse("test", "", &settings, config.Source{Args: []string{"--seal-key-file=" + path}}); err != nil {
		return nil, err
	}
	return seal.New(settings.Seal)
}

func TestOnlyTheJobsOwnSealOpens(t *testing.T) {
	t.Parallel()
	b, err := box(t, newKey()+"\n")
	require.NoError(t, err)
	secret := []byte("correct horse")
	sealed := b.Seal("job 1", secret)
	require.False(t, bytes.Contains(sealed, secret))
	require.NotEqual(t, sealed, b.Seal("job 1", secret), "equal secrets must not look equal")

	plain, err := b.Open("job 1", sealed)
	require.NoError(t, err)
	require.Equal(t, secret, plain)

	_, err = b.Open("job 2", sealed)
	require.ErrorIs(t, err, seal.ErrBroken)
	for i := range sealed {
		forged := bytes.Clone(sealed)
		forged[i] ^= 1
		_, err := b.Open("job 1", forged)
		require.Error(t, err, "byte %d", i)
		_, err = b.Open("job 1", sealed[:i])
		require.Error(t, err, "length %d", i)
	}
}

func TestKeysAreExchangedWithoutLoss(t *testing.T) {
	t.Parallel()
	before, after := newKey(), newKey()
	old, err := box(t, before)
	require.NoError(t, err)
	both, err := box(t, after+"\n"+before)
	require.NoError(t, err)
	fresh, err := box(t, after)
	require.NoError(t, err)

	plain, err := both.Open("job", old.Seal("job", []byte("old")))
	require.NoError(t, err)
	require.Equal(t, "old", string(plain))
	plain, err = fresh.Open("job", both.Seal("job", []byte("new")))
	require.NoError(t, err)
	require.Equal(t, "new", string(plain))
	_, err = fresh.Open("job", old.Seal("job", []byte("old")))
	require.ErrorIs(t, err, seal.ErrNoKey)
}

func TestWithoutKey(t *testing.T) {
	t.Parallel()
	none, err := box(t, " \n")
	require.NoError(t, err)
	require.Nil(t, none)
	b, err := box(t, newKey())
	require.NoError(t, err)
	_, err = none.Open("job", b.Seal("job", nil))
	require.ErrorIs(t, err, seal.ErrNoKey)
}

func TestBadKeys(t *testing.T) {
	t.Parallel()
	for _, keys := range []string{"short", base64.StdEncoding.EncodeToString(make([]byte, 16)), newKey() + "\n!"} {
		_, err := box(t, keys)
		require.ErrorContains(t, err, "seal-key")
		require.NotContains(t, err.Error(), keys, "an error must not reveal the key")
	}
}
