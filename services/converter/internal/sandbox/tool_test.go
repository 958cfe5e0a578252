package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

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

func TestSignalFromOutside(t *testing.T) {
	t.Parallel()
	sh, err := sandbox.Tool{Name: "sh", Package: "dash"}.Find()
	require.NoError(t, err)
	for signal, outside := range map[string]bool{"KILL": true, "TERM": true, "SEGV": false, "XFSZ": false} {
		_, err := sh.Run(t.Context(), sandbox.Command{Args: []string{"-c", "kill -" + signal + " $$"}, Dir: t.TempDir()})
		require.Equal(t, outside, errors.Is(err, sandbox.ErrKilled), signal)
	}
}

// asSupervisor makes the test's own program run programs with a time limit, instead of the tests.
const asSupervisor = "RUN_AS_SUPERVISOR"

// supervised is how many programs it runs at the same time.
const supervised = 20

func TestMain(m *testing.M) {
	if os.Getenv(asSupervisor) == "" {
		os.Exit(m.Run())
	}
	var running sync.WaitGroup
	errs := make([]error, supervised)
	for i := range errs {
		running.Go(func() {
			_, errs[i] = sandbox.Run(context.Background(), sandbox.Command{
				Path: "/bin/sleep", Args: []string{"1"}, Dir: os.Getenv(asSupervisor), Limits: sandbox.Limits{Time: 4 * time.Second},
			})
		})
	}
	running.Wait()
	fmt.Println(errors.Join(errs...))
}

// TestStoppedSupervisorBlamesNobody stops a process until the time limit of the programs that it runs has passed. They ended in
// time.
func TestStoppedSupervisorBlamesNobody(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	require.NoError(t, err)
	supervisor := exec.Command(program)
	supervisor.Env = append(os.Environ(), asSupervisor+"="+t.TempDir())
	output, err := supervisor.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, supervisor.Start())
	require.Eventually(t, func() bool { return len(children(supervisor.Process.Pid)) == supervised }, time.Minute, time.Millisecond)
	require.NoError(t, supervisor.Process.Signal(syscall.SIGSTOP))
	time.Sleep(5 * time.Second) // the time limit cannot be observed from outside
	require.NoError(t, supervisor.Process.Signal(syscall.SIGCONT))
	found, err := io.ReadAll(output)
	require.NoError(t, err)
	require.NoError(t, supervisor.Wait())
	require.Equal(t, "<nil>\n", string(found))
}

// children returns the children of a process.
func children(pid int) []string {
	found := []string(nil)
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list) // a thread may have ended
		found = append(found, strings.Fields(string(text))...)
	}
	return found
}
