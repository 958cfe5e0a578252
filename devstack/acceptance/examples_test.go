package acceptance_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestClientExamples runs the examples of the Go client, whose module has no Docmill to run them against.
func TestClientExamples(t *testing.T) {
	t.Parallel()
	forBoth(t, testClientExamples)
}

func testClientExamples(t *testing.T, on edition) {
	t.Helper()
	b := setup(t, on)
	examples := exec.CommandContext(b.ctx, "go", "test", "-count=1", "-v", "-run=^Example", ".")
	examples.Dir = filepath.Join(project, "client")
	examples.Env = append(os.Environ(), "DOCMILL_URL="+b.system.URL())
	output, err := examples.CombinedOutput()
	require.NoError(t, err, string(output))
	require.Equal(t, 6, strings.Count(string(output), "--- PASS: Example"), string(output))
}
