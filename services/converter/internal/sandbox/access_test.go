package sandbox_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// confined returns a command for a shell that may only use its own directory and the usual programs.
func confined(t *testing.T, script string) sandbox.Command {
	t.Helper()
	command := shell(t, script, sandbox.Limits{})
	command.Path = "/bin/bash"
	command.Access = &sandbox.Access{
		Readable: []string{"/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/nonexistent"},
		Writable: []string{command.Dir},
	}
	return command
}

func requireLandlock(t *testing.T) {
	t.Helper()
	_, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		t.Skip("this kernel has no Landlock")
	}
}

func TestFileAccess(t *testing.T) {
	t.Parallel()
	requireLandlock(t)
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	exit, err := sandbox.Run(t.Context(), confined(t,
		"echo own > own && cat own; cat "+secret+"; cat /etc/passwd; echo x > "+secret+"; echo x > /dev/null && echo null"))
	require.NoError(t, err)
	require.Contains(t, exit.Output, "own\n")
	require.Contains(t, exit.Output, "null")
	require.NotContains(t, exit.Output, "root:")
	require.Equal(t, 3, strings.Count(exit.Output, "Permission denied"), exit.Output)
	content, err := os.ReadFile(secret)
	require.NoError(t, err)
	require.Equal(t, "secret", string(content))
}

func TestNoNetworkNorOtherProcesses(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	exit, err := sandbox.Run(t.Context(), confined(t, "(exec 3<>/dev/tcp/127.0.0.1/"+port+") && echo connected; "+
		"kill -0 $PPID && echo killed; grep NoNewPrivs /proc/self/status || true"))
	require.NoError(t, err)
	require.NotContains(t, exit.Output, "connected")
	require.NotContains(t, exit.Output, "killed")
	require.Contains(t, exit.Output, "not permitted")
}

// TestRestrictionsEndWithTheProcess checks that this process, and the next one that it starts, are not restricted.
func TestRestrictionsEndWithTheProcess(t *testing.T) {
	t.Parallel()
	for range 20 {
		_, err := sandbox.Run(t.Context(), confined(t, "true"))
		require.NoError(t, err)
	}
	exit, err := sandbox.Run(t.Context(), shell(t, "cat /etc/passwd; kill -TERM $$", sandbox.Limits{}))
	require.NoError(t, err)
	require.Contains(t, exit.Output, "root:")
	require.Equal(t, syscall.SIGTERM, exit.Signal)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
}

func TestInputAndOutput(t *testing.T) {
	t.Parallel()
	command := shell(t, "cat; echo aside >&2", sandbox.Limits{})
	path := filepath.Join(command.Dir, "in")
	require.NoError(t, os.WriteFile(path, []byte("given"), 0o600))
	in, err := os.Open(path)
	require.NoError(t, err)
	defer in.Close()
	command.Stdin, command.MaxStdout = in, 4
	exit, err := sandbox.Run(t.Context(), command)
	require.NoError(t, err)
	require.Equal(t, "aside", exit.Output)
	require.Equal(t, "give", exit.Stdout, "at most 4 bytes")
}
