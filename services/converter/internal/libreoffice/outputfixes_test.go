package libreoffice

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
)

func fixed(t *testing.T, target, content string) (result string, changed bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "result")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	fixedPath, err := fixOutput(format.Target{ID: target}, path)
	require.NoError(t, err)
	left, err := os.ReadFile(fixedPath)
	require.NoError(t, err)
	return string(left), fixedPath != path
}

func TestFixTexts(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{"\uFEFFtext": "text", "text": "text", "\uFEFF": "", "": "", "\xef": "\xef"} {
		got, changed := fixed(t, "txt", content)
		require.Equal(t, want, got)
		require.Equal(t, content != want, changed)
	}
	got, changed := fixed(t, "html", "\uFEFF<html>")
	require.Equal(t, "\uFEFF<html>", got)
	require.False(t, changed)
}

func TestDamagedPackagesStay(t *testing.T) {
	t.Parallel()
	_, changed := fixed(t, "odt", "PK no package")
	require.False(t, changed, "it is refused later")
}
