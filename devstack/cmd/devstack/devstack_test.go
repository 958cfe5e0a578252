package main_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/supervisor"
)

const (
	project  = "../../.."
	patience = 10 * time.Minute
)

// devstack builds the command and returns a function that runs it with a private state directory, which is dir.
func devstack(t *testing.T) (run func(env string, args ...string) (string, error), dir string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "devstack")
	build := exec.Command("go", "build", "-o", binary, ".")
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))

	state, err := os.MkdirTemp("/tmp", "devstack-test-") // the user postgres can traverse it
	require.NoError(t, err)
	require.NoError(t, os.Chmod(state, 0o711))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(state)) })
	root, err := filepath.Abs(project)
	require.NoError(t, err)
	work := t.TempDir()
	return func(env string, args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		command := exec.CommandContext(ctx, binary, args...)
		command.Dir = root
		command.Env = append(os.Environ(), supervisor.DirVariable+"="+state, env)
		if args[0] == "demo" {
			command.Dir = work
		}
		output, err := command.CombinedOutput()
		return string(output), err
	}, state
}

// TestStackRunsInTheBackground does what a developer does: up, up again, demo, a crash, down.
func TestStackRunsInTheBackground(t *testing.T) {
	t.Parallel()
	for stack, services := range map[string]int{"embedded": 1, "devstack": 3} {
		t.Run(stack, func(t *testing.T) {
			t.Parallel()
			testStack(t, stack, services)
		})
	}
}

func testStack(t *testing.T, stack string, services int) {
	t.Helper()
	run, dir := devstack(t)
	t.Cleanup(func() { _, _ = run("", "down") })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	taken := "PORT=" + strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)

	output, err := run(taken, "up", "--stack", stack)
	require.NoError(t, err, output)
	require.Contains(t, output, "Docmill is at http://127.0.0.1:")
	require.Contains(t, output, "was taken")
	output, err = run(taken, "up", "--stack", stack)
	require.NoError(t, err, output)
	require.Contains(t, output, "already running at http://127.0.0.1:")

	sample, err := filepath.Abs(filepath.Join(project, "testdata", "sample.pptx"))
	require.NoError(t, err)
	state, err := supervisor.Read(dir)
	require.NoError(t, err)
	output, err = run("", "demo", "--base-url", state.URL, sample)
	require.NoError(t, err, output)
	require.Contains(t, output, "sample.pdf, 19 pages")

	// Killing the supervisor ends everything, and the next start finds intact data.
	require.NoError(t, syscall.Kill(state.PID, syscall.SIGKILL))
	ended := func() bool { _, err := supervisor.Read(dir); return err != nil }
	require.Eventually(t, ended, 10*time.Second, 10*time.Millisecond)
	output, err = run(taken, "up", "--stack", stack)
	require.NoError(t, err, output)
	output, err = run("", "status")
	require.NoError(t, err, output)
	require.Equal(t, services, strings.Count(output, "  ready\n"), output)

	output, err = run("", "down")
	require.NoError(t, err, output)
	require.Contains(t, output, "Docmill is stopped")
	output, err = run("", "down")
	require.NoError(t, err, output)
	require.Contains(t, output, "not running")
	_, err = run("", "status")
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 3, exit.ExitCode())
}

func TestFailedStartReportsTheReasonAndLeavesNothing(t *testing.T) {
	t.Parallel()
	run, dir := devstack(t)
	binaries := t.TempDir()
	for _, name := range []string{"gateway", "converter", "status"} {
		script := "#!/bin/sh\necho " + name + " no such luck >&2\nexit 1\n"
		require.NoError(t, os.WriteFile(filepath.Join(binaries, "docmill-"+name), []byte(script), 0o700))
	}
	output, err := run("", "up", "--stack=devstack", "--binaries", binaries)
	require.Error(t, err)
	require.Contains(t, output, "no such luck")
	_, err = supervisor.Read(dir)
	require.ErrorIs(t, err, supervisor.ErrNotRunning)
}

func TestRunProvidesServersAndReturnsTheExitCode(t *testing.T) {
	t.Parallel()
	run, _ := devstack(t)
	output, err := run("DEVSTACK_CONNECTION=", "run", "--", "sh", "-c", `cat "$DEVSTACK_CONNECTION"; exit 7`)
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 7, exit.ExitCode(), output)
	var connection map[string]string
	require.NoError(t, json.Unmarshal([]byte(output), &connection), output)
	require.NotEmpty(t, connection["broker_url"])

	output, err = run("DEVSTACK_CONNECTION=outer", "run", "--", "sh", "-c", `echo "$DEVSTACK_CONNECTION"`)
	require.NoError(t, err)
	require.Equal(t, "outer\n", output, "an inner run uses the servers of the outer one")
}
