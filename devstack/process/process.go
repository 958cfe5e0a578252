// Package process runs child processes that do not outlive their parent.
//
// Each child has its own process group, so that it and its descendants are signaled together. It writes to a log file,
// whose tail becomes part of errors. The kernel signals it when this process dies, for whatever reason.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// defaultGrace is how long a child may take to stop before its group is killed. RabbitMQ, the slowest of the servers,
// needs about 2 s for a clean stop on two busy cores.
const defaultGrace = 30 * time.Second

// maxLogSize, in bytes, is the size above which an existing log file is renamed to "<name>.1" at the start.
const maxLogSize = 16 << 20

// Spec describes a child process. Name, Path and LogFile are required.
type Spec struct {
	// Name is the name of the child in errors.
	Name string
	// Path is the path of the executable.
	Path string
	// Args are the arguments without the program name.
	Args []string
	// Env is the whole environment; nothing is inherited.
	Env []string
	// Dir is the working directory; empty means that of this process.
	Dir string
	// LogFile receives standard output and standard error. It is appended to, and created if necessary.
	LogFile string
	// Credential is the user that the child runs as; nil means the current one.
	Credential *syscall.Credential
	// StopSignal asks the child to stop; zero means SIGTERM.
	StopSignal syscall.Signal
	// Grace is the time between StopSignal and killing the group; zero means 30 s.
	Grace time.Duration
	// DeathSignal is sent by the kernel when this process dies; zero means SIGKILL.
	DeathSignal syscall.Signal
	// Detached gives the child its own session and lets it outlive this process.
	Detached bool
}

// ExitError describes how a child ended, with the last lines that it logged since its start.
type ExitError struct {
	Name    string
	State   string
	LogFile string
	LogTail string
}

func (e *ExitError) Error() string {
	if e.LogTail == "" {
		return fmt.Sprintf("%s ended (%s) and logged nothing to %s", e.Name, e.State, e.LogFile)
	}
	return fmt.Sprintf("%s ended (%s); last lines of %s:\n%s", e.Name, e.State, e.LogFile, e.LogTail)
}

// Process is a started child. It is safe for concurrent use.
type Process struct {
	spec      Spec
	pid       int
	logOffset int64
	exited    chan struct{}
	state     *os.ProcessState // set before exited is closed
}

// Start starts the child and returns as soon as it runs. Use [Process.WaitReady] to wait until it serves.
func Start(spec Spec) (*Process, error) {
	if spec.StopSignal == 0 {
		spec.StopSignal = syscall.SIGTERM
	}
	if spec.Grace == 0 {
		spec.Grace = defaultGrace
	}
	if spec.DeathSignal == 0 {
		spec.DeathSignal = syscall.SIGKILL
	}
	log, offset, err := openLog(spec.LogFile)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", spec.Name, err)
	}
	p := &Process{spec: spec, logOffset: offset, exited: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(log, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	return p, nil
}

// run starts the child and reaps it. Linux sends the death signal when the *thread* that forked ends, not when the
// process does, and Go may end idle threads at any time. So the thread is locked for as long as the child lives.
func (p *Process) run(log *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(p.spec.Path, p.spec.Args...) //nolint:noctx // Stop and Kill end it, not a context
	cmd.Env, cmd.Dir = p.spec.Env, p.spec.Dir
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.spec.Credential}
	if p.spec.Detached {
		cmd.SysProcAttr.Setsid = true
	} else {
		cmd.SysProcAttr.Setpgid = true
		cmd.SysProcAttr.Pdeathsig = p.spec.DeathSignal
	}
	err := cmd.Start()
	_ = log.Close()
	if err != nil {
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil
	_ = cmd.Wait()
	p.state = cmd.ProcessState
	close(p.exited)
}

// openLog opens path for appending and returns its current length.
func openLog(path string) (*os.File, int64, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, 0, err
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogSize {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, 0, err
		}
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := log.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, log.Close())
	}
	return log, info.Size(), nil
}

// PID returns the process ID of the child, which is also the ID of its process group.
func (p *Process) PID() int { return p.pid }

// Exited returns a channel that is closed when the child has ended and was reaped.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Running reports whether the child is still running.
func (p *Process) Running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// ExitCode returns the exit code of the child, or -1 if it is running or was ended by a signal.
func (p *Process) ExitCode() int {
	if p.Running() {
		return -1
	}
	return p.state.ExitCode()
}

// Err returns nil while the child runs and an *[ExitError] afterwards, even if the exit code is 0: a server is not
// supposed to end by itself.
func (p *Process) Err() error {
	if p.Running() {
		return nil
	}
	return &ExitError{
		Name: p.spec.Name, State: p.state.String(), LogFile: p.spec.LogFile, LogTail: tail(p.spec.LogFile, p.logOffset),
	}
}

// LogTail returns the last lines that the child logged since its start, at most a few kilobytes.
func (p *Process) LogTail() string { return tail(p.spec.LogFile, p.logOffset) }

// Stop sends the stop signal, waits until the child has ended, and kills its group when the grace period or ctx ends
// first. It returns nil if the child ended in time or before, and an error if it had to be killed.
func (p *Process) Stop(ctx context.Context) error { return p.end(ctx, p.spec.StopSignal) }

// Discard sends the signal that the kernel sends when this process dies, without a clean stop, and waits for the end.
func (p *Process) Discard(ctx context.Context) error { return p.end(ctx, p.spec.DeathSignal) }

func (p *Process) end(ctx context.Context, signal syscall.Signal) error {
	if !p.Running() {
		p.killGroup()
		return nil
	}
	tooSlow := fmt.Errorf("%s did not stop within %s", p.spec.Name, p.spec.Grace)
	grace, cancel := context.WithTimeoutCause(ctx, p.spec.Grace, tooSlow)
	defer cancel()
	// Only the child is signaled, as a service manager does: the child is responsible for its own children.
	if err := syscall.Kill(p.pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %s: %w", p.spec.Name, err)
	}
	select {
	case <-p.exited:
		p.killGroup()
		return nil
	case <-grace.Done():
		p.Kill()
		return fmt.Errorf("killed %s: %w", p.spec.Name, context.Cause(grace))
	}
}

// Kill kills the whole group at once, like a crash, and waits for the end of the child.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	<-p.exited
	p.killGroup() // waits for the other members
}

// killGroup kills members of the group that outlived the child, and waits for their end: RabbitMQ's node is a child of
// its start script, and its ports are free only when the node itself is gone. The kernel does not reuse the ID of a
// group that has members, and an empty group returns a harmless ESRCH (PIDs are reused only after they wrap around).
func (p *Process) killGroup() {
	deadline := time.Now().Add(groupEnd)
	for syscall.Kill(-p.pid, syscall.SIGKILL) == nil && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond) // only their parent, which is another process, is notified of their end
	}
}

// groupEnd limits the wait for killed members: the kernel needs tens of milliseconds to tear down large ones, and where
// orphans are not reaped (a container without an init process) they remain as zombies.
const groupEnd = 2 * time.Second

// Signal sends a signal to the child only.
func (p *Process) Signal(signal syscall.Signal) error {
	if err := syscall.Kill(p.pid, signal); err != nil {
		return fmt.Errorf("signal %s: %w", p.spec.Name, err)
	}
	return nil
}

// readyInterval is the pause between two probes. There is no event that all servers provide, and a probe of a closed
// port costs microseconds.
const readyInterval = 25 * time.Millisecond

// WaitReady calls probe until it returns nil. It returns an *[ExitError] as soon as the child ends, and the last error
// of probe with the tail of the log when ctx ends. It does not stop the child.
func (p *Process) WaitReady(ctx context.Context, probe func(context.Context) error) error {
	ticker := time.NewTicker(readyInterval)
	defer ticker.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return p.Err()
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready (%w): %w; last lines of %s:\n%s",
				p.spec.Name, context.Cause(ctx), err, p.spec.LogFile, p.LogTail())
		case <-ticker.C:
		}
	}
}
