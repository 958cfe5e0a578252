package directory_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestListIsOrderedAcrossPages: a page is 16,384 blobs.
func TestListIsOrderedAcrossPages(t *testing.T) {
	t.Parallel()
	const blobs = 33_000
	root := t.TempDir()
	for i := range blobs {
		require.NoError(t, os.WriteFile(filepath.Join(root, fmt.Sprintf("%06d+a", i)), nil, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(root, "not a key"), nil, 0o600))
	i := 0
	for entry, err := range open(t, root).List(t.Context(), "", "") {
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%06d/a", i), entry.Key)
		i++
	}
	require.Equal(t, blobs, i)
}
