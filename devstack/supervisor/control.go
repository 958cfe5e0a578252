package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/docmill/docmill/devstack/process"
)

const (
	// startTimeout is enough for a slow machine. It does not include installation, which is done before.
	startTimeout = 5 * time.Minute
	// stopTimeout is longer than draining the services and stopping the servers together.
	stopTimeout = 2 * time.Minute
	// pollInterval is the pause between two reads of the lock or the state, which are files without notifications.
	pollInterval = 50 * time.Millisecond
)

// Launch starts the supervisor in the background, unless one is running, and returns when its stack is ready. command
// is the path of this program and the arguments that make it call [Run] with the same directory. started is false if a
// supervisor was running already.
func Launch(ctx context.Context, dir string, command []string) (state State, started bool, err error) {
	const dirMode = 0o711 // the user postgres needs to traverse it
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return State{}, false, fmt.Errorf("create the stack's directory: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("the start took longer than %s", startTimeout))
	defer cancel()
	state, err = await(ctx, dir)
	if !errors.Is(err, ErrNotRunning) {
		return state, false, err
	}
	background, err := process.Start(process.Spec{
		Name: "supervisor", Path: command[0], Args: command[1:], Dir: "/", Env: environment(),
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

var errStarting = errors.New("still starting")

// lostRace reports whether another supervisor was started first.
func lostRace(dir string) bool {
	pid, err := holder(dir)
	return err == nil && pid != 0
}

// environment returns the environment of this process without settings of services, which the supervisor sets.
func environment() []string {
	var env []string
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "DOCMILL_") {
			env = append(env, setting)
		}
	}
	return env
}

// await waits until the running stack is ready. It returns [ErrNotRunning] if there is none, or it ends.
func await(ctx context.Context, dir string) (State, error) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		state, err := Read(dir)
		if err != nil || state.Ready {
			return state, err
		}
		select {
		case <-ctx.Done():
			return State{}, fmt.Errorf("wait for the stack of supervisor %d: %w", state.PID, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// Stop stops the stack of the directory cleanly and returns when it has ended. It kills the stack after two minutes. It
// returns [ErrNotRunning] if there is none.
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
	// The kernel kills its children with it.
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill supervisor %d: %w", pid, err)
	}
	if err := awaitRelease(ctx, dir, pid); err != nil {
		return err
	}
	return fmt.Errorf("supervisor %d did not stop within %s and was killed", pid, stopTimeout)
}

// awaitRelease waits until pid no longer holds the lock.
func awaitRelease(ctx context.Context, dir string, pid int) error {
	ticker := time.NewTicker(pollInterval)
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
