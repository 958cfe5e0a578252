package sandbox_test

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

func TestMissingToolNamesItsPackage(t *testing.T) {
	t.Parallel()
	_, err := sandbox.FindAll(sandbox.Tool{Name: "sh", Package: "dash"}, sandbox.Tool{Name: "no-such-tool", Package: "its-package"})
	require.ErrorIs(t, err, exec.ErrNotFound)
	require.ErrorContains(t, err, "no-such-tool")
	require.ErrorContains(t, err, "install the package its-package")
}

func TestToolOutput(t *testing.T) {
	t.Parallel()
	sh, err := sandbox.Tool{Name: "sh", Package: "dash"}.Find()
	require.NoError(t, err)
	run := func(script string) (string, error) {
		return sh.Output(t.Context(), 5, sandbox.Command{Args: []string{"-c", script}, Dir: t.TempDir()})
	}
	output, err := run("echo message >&2; echo 1234567")
	require.NoError(t, err)
	require.Equal(t, "12345", output, "bounded, and without messages")

	_, err = run("echo out; echo why >&2; exit 3")
	var failed *sandbox.ExitError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, 3, failed.Exit.Code)
	require.ErrorContains(t, err, "sh exited with 3 (signal 0): why")
	require.NoError(t, sh.Failure(failed.Exit, 3))
}
