package resultfile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// written returns a file with content that is not published, of either kind.
func written(t *testing.T, directory string, named bool) *file {
	t.Helper()
	f, err := create(directory)
	require.NoError(t, err)
	if named && f.hidden == "" {
		require.NoError(t, f.Close())
		f.hidden = hiddenIn(directory)
		f.File, err = os.Create(f.hidden)
		require.NoError(t, err)
	}
	t.Cleanup(f.discard)
	_, err = f.WriteString("new")
	require.NoError(t, err)
	return f
}

func requireFiles(t *testing.T, directory string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(directory)
	require.NoError(t, err)
	names := []string{}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	require.ElementsMatch(t, want, names)
}

func TestPublish(t *testing.T) {
	t.Parallel()
	for _, named := range []bool{false, true} {
		directory := t.TempDir()
		path := filepath.Join(directory, "a.pdf")
		read := func() string {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			return string(content)
		}
		first := written(t, directory, named)
		if !named {
			requireFiles(t, directory) // nothing would be left after a kill
		}
		require.NoError(t, first.publish(path, false))
		first.discard()
		require.Equal(t, "new", read())
		require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))

		second := written(t, directory, named)
		require.ErrorContains(t, second.publish(path, false), "exists")
		second.discard()
		require.Equal(t, "old", read())
		requireFiles(t, directory, "a.pdf")

		third := written(t, directory, named)
		require.NoError(t, third.publish(path, true))
		third.discard()
		require.Equal(t, "new", read())
		requireFiles(t, directory, "a.pdf")
	}
}
