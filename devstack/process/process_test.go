package process_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/process"
)

// orphanVariable makes the test binary the parent that dies in TestChildDiesWithItsParent.
const orphanVariable = "PROCESS_TEST_ORPHAN_LOG"

func TestMain(m *testing.M) {
	if log := os.Getenv(orphanVariable); log != "" {
		startAndWait(log)
	}
	os.Exit(m.Run())
}

// startAndWait starts a child, prints its process ID, and waits to be killed.
func startAndWait(log string) {
	child, err := process.Start(shell(log, "exec sleep 1000"))
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString(strconv.Itoa(child.PID()) + "\n")
	<-child.Exited()
	os.Exit(1)
}

func shell(log, script string) process.Spec {
	return process.Spec{
		Name: "child", Path: "/bin/sh", Args: []string{"-c", script}, LogFile: log,
		Env: []string{"PATH=" + os.Getenv("PATH")},
	}
}

func setup(t *testing.T, script string, change ...func(*process.Spec)) (child *process.Process, log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "log")
	spec := shell(log, script)
	for _, f := range change {
		f(&spec)
	}
	child, err := process.Start(spec)
	require.NoError(t, err)
	t.Cleanup(child.Kill)
	return child, log
}

// logged returns a probe that succeeds once the log contains text.
func logged(text, log string) func(context.Context) error {
	return func(context.Context) error {
		written, err := os.ReadFile(log)
		if err == nil && !strings.Contains(string(written), text) {
			return errors.New("not logged yet")
		}
		return err
	}
}

func gone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		state, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		// A zombie that its new parent has not reaped yet counts as gone.
		return err != nil || strings.Contains(string(state), ") Z ")
	}, 10*time.Second, 10*time.Millisecond, "process %d is still running", pid)
}

func TestExitAtStartIsReported(t *testing.T) {
	t.Parallel()
	child, _ := setup(t, "echo first; echo the reason >&2; exit 3")
	err := child.WaitReady(t.Context(), func(context.Context) error { return errors.New("never ready") })
	var exit *process.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, "first\nthe reason", exit.LogTail)
	require.ErrorContains(t, err, "exit status 3")
	require.Equal(t, 3, child.ExitCode())
}

func TestTailStartsAtThisStart(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	for _, word := range []string{"before", "after"} {
		child, err := process.Start(shell(log, "echo "+word))
		require.NoError(t, err)
		<-child.Exited()
		require.Equal(t, word, child.LogTail())
	}
}

func TestTailIsLimited(t *testing.T) {
	t.Parallel()
	child, _ := setup(t, "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done")
	<-child.Exited()
	lines := strings.Split(child.LogTail(), "\n")
	require.Len(t, lines, 25)
	require.Equal(t, "line 4999", lines[24])
}

func TestMissingProgramIsAnError(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	_, err := process.Start(process.Spec{Name: "nothing", Path: "/does/not/exist", LogFile: log})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestStopEndsTheGroup(t *testing.T) {
	t.Parallel()
	child, log := setup(t, `sleep 1000 & echo "grandchild $!"; trap 'exit 0' TERM; wait`)
	require.NoError(t, child.WaitReady(t.Context(), logged("grandchild", log)))
	grandchild, err := strconv.Atoi(strings.TrimPrefix(child.LogTail(), "grandchild "))
	require.NoError(t, err)

	require.NoError(t, child.Stop(t.Context()))
	require.False(t, child.Running())
	require.Equal(t, 0, child.ExitCode())
	gone(t, grandchild)
	require.NoError(t, child.Stop(t.Context()), "a second stop does nothing")
}

func TestStopKillsAChildThatIgnoresTheSignal(t *testing.T) {
	t.Parallel()
	impatient := func(s *process.Spec) { s.Grace = 50 * time.Millisecond }
	child, log := setup(t, `trap '' TERM; echo deaf; while :; do sleep 1000; done`, impatient)
	require.NoError(t, child.WaitReady(t.Context(), logged("deaf", log)))
	require.ErrorContains(t, child.Stop(t.Context()), "did not stop within 50ms")
	require.False(t, child.Running())
}

func TestWaitReadyEndsWithItsContext(t *testing.T) {
	t.Parallel()
	child, log := setup(t, "echo busy; exec sleep 1000")
	require.NoError(t, child.WaitReady(t.Context(), logged("busy", log)))
	ctx, cancel := context.WithCancelCause(t.Context())
	cause, probed := errors.New("patience is over"), errors.New("still loading")
	cancel(cause)
	err := child.WaitReady(ctx, func(context.Context) error { return probed })
	require.ErrorIs(t, err, cause)
	require.ErrorIs(t, err, probed)
	require.ErrorContains(t, err, "busy")
	require.True(t, child.Running())
}

func TestChildDiesWithItsParent(t *testing.T) {
	t.Parallel()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), orphanVariable+"="+filepath.Join(t.TempDir(), "log"))
	output, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	child, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)

	require.NoError(t, syscall.Kill(child, 0), "the child lives while its parent does")
	require.NoError(t, parent.Process.Kill())
	_ = parent.Wait()
	gone(t, child)
}

// TestChildOutlivesThreads fails if the death signal is bound to a thread that Go ends: a goroutine that returns while
// locked to its thread ends that thread.
func TestChildOutlivesThreads(t *testing.T) {
	t.Parallel()
	var child *process.Process
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		var err error
		child, err = process.Start(shell(filepath.Join(t.TempDir(), "log"), "exec sleep 1000"))
		started <- err
	}()
	require.NoError(t, <-started)
	for range 50 {
		done := make(chan struct{})
		go func() { defer close(done); runtime.LockOSThread() }()
		<-done
	}
	require.NoError(t, syscall.Kill(child.PID(), 0))
	require.True(t, child.Running())
	child.Kill()
}

// TestPauseStopsDescendants pauses a child whose own child writes lines.
func TestPauseStopsDescendants(t *testing.T) {
	t.Parallel()
	child, log := setup(t, "(while :; do echo line; sleep 0.01; done); true")
	size := func() int64 {
		info, err := os.Stat(log)
		require.NoError(t, err)
		return info.Size()
	}
	grows := func() bool {
		before := size()
		time.Sleep(200 * time.Millisecond)
		return size() > before
	}
	require.Eventually(t, grows, 20*time.Second, time.Millisecond)
	require.NoError(t, child.Pause())
	require.False(t, grows())
	require.NoError(t, child.Resume())
	require.Eventually(t, grows, 20*time.Second, time.Millisecond)
}
