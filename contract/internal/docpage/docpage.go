// Package docpage keeps pages of docs/ that are made from tables in code the same as those. It is for tests.
package docpage

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// update is the flag of the test binaries that import this package.
var update = flag.Bool("update", false, "write the page in docs anew")

// RequireCurrent fails the test unless docs/<name> is what the table makes of it; with the flag -update it writes the page first.
// It is called from a package two folders below the project's root.
func RequireCurrent(t *testing.T, name, content string) {
	t.Helper()
	page := filepath.Join("..", "..", "docs", name)
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(content), 0o644)) //nolint:gosec // a page for everybody
	}
	current, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, content, string(current), "run the package's tests with -update")
}
