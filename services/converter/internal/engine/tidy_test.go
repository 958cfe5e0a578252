package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
)

func tidied(t *testing.T, target, content string) (result string, changed bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "result")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	tidy, err := tidy(format.Target{ID: target}, path)
	require.NoError(t, err)
	left, err := os.ReadFile(tidy)
	require.NoError(t, err)
	return string(left), tidy != path
}

func TestTidyTexts(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{"\uFEFFtext": "text", "text": "text", "\uFEFF": "", "": "", "\xef": "\xef"} {
		got, changed := tidied(t, "txt", content)
		require.Equal(t, want, got)
		require.Equal(t, content != want, changed)
	}
	got, changed := tidied(t, "html", "\uFEFF<html>")
	require.Equal(t, "\uFEFF<html>", got)
	require.False(t, changed)
}

func TestTidyDamagedPackages(t *testing.T) {
	t.Parallel()
	_, changed := tidied(t, "odt", "PK no package")
	require.False(t, changed, "what it is has to be told by others")
}
