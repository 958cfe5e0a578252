// Package fontstest makes fonts for tests.
package fontstest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// WriteRenamed writes Carlito to directory under another name of the same length, such as Calibri.
func WriteRenamed(tb testing.TB, directory, name string) {
	tb.Helper()
	const original = "Carlito"
	require.Len(tb, name, len(original))
	found, err := filepath.Glob("/usr/share/fonts/truetype/*/" + original + "-Regular.ttf")
	require.NoError(tb, err)
	require.NotEmpty(tb, found, "install fonts-crosextra-carlito")
	content, err := os.ReadFile(found[0])
	require.NoError(tb, err)
	// A font has its name in the encodings of two platforms: in ASCII, and in UTF-16.
	wide := func(s string) string { return "\x00" + strings.Join(strings.Split(s, ""), "\x00") }
	renamed := strings.NewReplacer(original, name, wide(original), wide(name)).Replace(string(content))
	require.NoError(tb, os.WriteFile(filepath.Join(directory, name+".ttf"), []byte(renamed), 0o600)) //nolint:gosec // the test chooses the name
}
