package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/docmill/docmill/devstack/process"
)

const (
	// startTimeout covers servers on a slow machine; what must be installed is installed before.
	startTimeout = 5 * time.Minute
	// stopTimeout is longer than the services' drain and the servers' stop together.
	stopTimeout = 2 * time.Minute
	// askInterval is the pause between two looks at the lock or the state, which are files and give no event.
	askInterval = 50 * time.Millisecond
)

// Launch starts the supervisor in the background unless one runs, and returns when its stack is ready. command is this
// program's path and the words that make it call [Run] with the same directory. started is false when one ran already.
func Launch(ctx context.Context, dir string, command []string) (state State, started bool, err error) {
	const dirMode = 0o711 // the user postgres passes through
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return State{}, false, fmt.Errorf("create the stack's directory: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("it took longer than %s", startTimeout))
	defer cancel()
	state, err = await(ctx, dir)
	if !errors.Is(err, ErrNotRunning) {
		return state, false, err
	}
	background, err := process.Start(process.Spec{
		Name: "the supervisor", Path: command[0], Args: command[1:], Dir: "/", Env: environment(),
		LogFile: filepath.Join(LogDir(dir), "supervisor.log"), Detached: true,
	})
	if err != nil {
		return State{}, false, err
	}
	err = background.WaitReady(ctx, func(context.Context) error {
		state, err = Read(dir)
		if err == nil && (!state.Ready || state.PID != background.PID()) {
			return errStarting
		}
		return err
	})
	if ctx.Err() != nil {
		return State{}, false, errors.Join(err, background.Stop(context.WithoutCancel(ctx)))
	}
	if err != nil && lostRace(dir) {
		state, err = await(ctx, dir)
		return state, false, err
	}
	return state, true, err
}

var errStarting = errors.New("it is still starting")

// lostRace says that another one was faster.
func lostRace(dir string) bool {
	pid, err := holder(dir)
	return err == nil && pid != 0
}

// environment is this process's own, without settings of services: those are made by the supervisor.
func environment() []string {
	var env []string
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "DOCMILL_") {
			env = append(env, setting)
		}
	}
	return env
}

// await waits until the running stack is ready, or fails with [ErrNotRunning] when there is none any more.
func await(ctx context.Context, dir string) (State, error) {
	ticker := time.NewTicker(askInterval)
	defer ticker.Stop()
	for {
		state, err := Read(dir)
		if err != nil || state.Ready {
			return state, err
		}
		select {
		case <-ctx.Done():
			return State{}, fmt.Errorf("wait for the stack that supervisor %d starts: %w", state.PID, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// Stop stops the directory's stack cleanly and returns when it is gone, or [ErrNotRunning]. After two minutes it is killed.
func Stop(ctx context.Context, dir string) error {
	pid, err := holder(dir)
	if err != nil {
		return err
	}
	if pid == 0 {
		return ErrNotRunning
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop supervisor %d: %w", pid, err)
	}
	gentle, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := awaitRelease(gentle, dir, pid); err == nil || ctx.Err() != nil {
		return err
	}
	// The kernel ends its children with it.
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill supervisor %d: %w", pid, err)
	}
	if err := awaitRelease(ctx, dir, pid); err != nil {
		return err
	}
	return errors.New("the supervisor " + strconv.Itoa(pid) + " did not stop within " + stopTimeout.String() + " and was killed")
}

// awaitRelease waits until pid holds the lock no more.
func awaitRelease(ctx context.Context, dir string, pid int) error {
	ticker := time.NewTicker(askInterval)
	defer ticker.Stop()
	for {
		if now, err := holder(dir); err != nil || now != pid {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the end of supervisor %d: %w", pid, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
