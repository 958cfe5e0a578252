package sandbox_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// shell returns a command that runs a script, with the usual programs and an environment of its own.
func shell(t *testing.T, script string, limits sandbox.Limits) sandbox.Command {
	t.Helper()
	return sandbox.Command{
		Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=/usr/bin:/bin", "GIVEN=yes"},
		Dir: t.TempDir(), Limits: limits,
	}
}

// processes counts the living processes whose working directory is below dir.
func processes(t *testing.T, dir string) int {
	t.Helper()
	all, err := procfs.AllProcs()
	require.NoError(t, err)
	n := 0
	for _, process := range all {
		if cwd, err := process.Cwd(); err == nil && strings.HasPrefix(cwd, dir) {
			n++
		}
	}
	return n
}

func TestExit(t *testing.T) {
	t.Parallel()
	exit, err := sandbox.Run(t.Context(), shell(t, "echo out; echo err >&2; exit 3", sandbox.Limits{}))
	require.NoError(t, err)
	require.Equal(t, sandbox.Exit{Code: 3, Output: "out\nerr"}, exit)
}

func TestDeathBySignal(t *testing.T) {
	t.Parallel()
	exit, err := sandbox.Run(t.Context(), shell(t, "kill -SEGV $$", sandbox.Limits{}))
	require.NoError(t, err)
	require.Equal(t, sandbox.Exit{Code: -1, Signal: syscall.SIGSEGV}, exit)
}

func TestEnvironmentIsNotInherited(t *testing.T) {
	t.Setenv("LEAKED", "secret")
	exit, err := sandbox.Run(t.Context(), shell(t, "env", sandbox.Limits{}))
	require.NoError(t, err)
	require.Contains(t, exit.Output, "GIVEN=yes")
	require.NotContains(t, exit.Output, "LEAKED")
}

func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	exit, err := sandbox.Run(t.Context(), shell(t, "yes | head -c 10000000", sandbox.Limits{}))
	require.NoError(t, err)
	require.Zero(t, exit.Code)
	require.Less(t, len(exit.Output), 10_000)
}

func TestTimeLimitKillsTheGroup(t *testing.T) {
	t.Parallel()
	command := shell(t, "sleep 1000 & sleep 1000", sandbox.Limits{Time: 300 * time.Millisecond})
	_, err := sandbox.Run(t.Context(), command)
	require.ErrorIs(t, err, sandbox.ErrTime)
	require.Zero(t, processes(t, command.Dir))
}

func TestStoppedGroupIsKilled(t *testing.T) {
	t.Parallel()
	command := shell(t, "sleep 1000 & kill -STOP 0", sandbox.Limits{Time: 300 * time.Millisecond})
	_, err := sandbox.Run(t.Context(), command)
	require.ErrorIs(t, err, sandbox.ErrTime)
	require.Zero(t, processes(t, command.Dir))
}

func TestDescendantsEndWithTheLeader(t *testing.T) {
	t.Parallel()
	command := shell(t, "sleep 1000 & exit 0", sandbox.Limits{})
	exit, err := sandbox.Run(t.Context(), command)
	require.NoError(t, err)
	require.Zero(t, exit.Code)
	require.Zero(t, processes(t, command.Dir))
}

func TestMemoryLimitCountsTheGroup(t *testing.T) {
	t.Parallel()
	// tail keeps the last line of its input in memory, and /dev/zero has only one line.
	command := shell(t, "tail /dev/zero & wait", sandbox.Limits{Memory: 64 << 20, Time: time.Minute})
	_, err := sandbox.Run(t.Context(), command)
	require.ErrorIs(t, err, sandbox.ErrMemory)
	require.Zero(t, processes(t, command.Dir))
}

func TestDiskLimit(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"one file":   "head -c 3000000 /dev/zero > big",
		"many files": "for i in 1 2 3 4; do head -c 400000 /dev/zero > $i; done",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := shell(t, script, sandbox.Limits{Disk: 1 << 20, Time: time.Minute})
			require.NoError(t, os.WriteFile(filepath.Join(command.Dir, "input"), make([]byte, 2<<20), 0o600))
			_, err := sandbox.Run(t.Context(), command)
			require.ErrorIs(t, err, sandbox.ErrDisk)
		})
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	command := shell(t, "sleep 1000 & sleep 1000", sandbox.Limits{})
	_, err := sandbox.Run(ctx, command)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, processes(t, command.Dir))
}

func TestNoSuchProgram(t *testing.T) {
	t.Parallel()
	_, err := sandbox.Run(t.Context(), sandbox.Command{Path: "/nonexistent/program", Dir: t.TempDir()})
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestManyAtOnce runs many processes at once, on threads that come and go: the end of the thread that forked must not
// kill its process.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	const many = 16
	results := make(chan string, many)
	for i := range many {
		go func() {
			exit, err := sandbox.Run(t.Context(), shell(t, fmt.Sprintf("sleep 0.2; echo %d", i), sandbox.Limits{Memory: 1 << 30}))
			results <- fmt.Sprint(exit.Output, exit.Code, exit.Signal, err)
		}()
	}
	got := map[string]bool{}
	for range many {
		got[<-results] = true
	}
	for i := range many {
		require.True(t, got[fmt.Sprint(fmt.Sprint(i), 0, syscall.Signal(0), error(nil))], "%d of %v", i, got)
	}
}
