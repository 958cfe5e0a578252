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

// TestForeign has everything that is not a blob in the directory of a bucket.
func TestForeign(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	bucket := open(t, root)
	put(t, bucket, "job/1.pdf", "one")
	require.Equal(t, filepath.Join(root, "job+1.pdf"), bucket.Path("job/1.pdf"))
	var want, got []string
	for _, name := range []string{"not a key", "+x", "a+"} {
		want = append(want, filepath.Join(root, name))
		require.NoError(t, os.WriteFile(want[len(want)-1], nil, 0o600))
	}
	want = append(want, filepath.Join(root, "directory"), filepath.Join(root, "link"))
	require.NoError(t, os.Mkdir(filepath.Join(root, "directory"), 0o700))
	require.NoError(t, os.Symlink("job+1.pdf", filepath.Join(root, "link")))
	for path, err := range bucket.Foreign(t.Context()) {
		require.NoError(t, err)
		got = append(got, path)
	}
	require.ElementsMatch(t, want, got)
}
