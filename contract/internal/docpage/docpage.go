// Package docpage lets tests keep the generated pages in docs/, and other generated files, up to date with the tables in
// the code.
package docpage

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// update is the flag of the test binaries that import this package.
var update = flag.Bool("update", false, "rewrite the generated page in docs")

// RequireCurrent fails the test unless docs/<name> has this content. With the flag -update it writes the page first.
// It must be called from a package two directories below the project's root.
func RequireCurrent(t *testing.T, name, content string) {
	t.Helper()
	RequireCurrentFile(t, filepath.Join("..", "..", "docs", name), content)
}

// RequireCurrentFile is like [RequireCurrent] for a file that is not in docs: path is relative to the package.
func RequireCurrentFile(t *testing.T, path, content string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644)) //nolint:gosec // the file is public
	}
	current, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, content, string(current), "run the package's tests with -update")
}
