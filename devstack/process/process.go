// Package process runs one child process that can neither be lost nor outlive its parent.
//
// A child gets a process group of its own, so that it and what it started are signaled together, writes to a log file
// whose tail explains a failure, and is signaled by the kernel when this process dies, however it dies.
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

// defaultGrace is how long a child may take to stop before its group is killed: RabbitMQ, the slowest of the servers,
// needs about 2 s for a clean stop on two busy cores.
const defaultGrace = 30 * time.Second

// maxLogSize in bytes is where a log file that is found at start is set aside as "<name>.1".
const maxLogSize = 16 << 20

// Spec says what to run. Name, Path and LogFile are required.
type Spec struct {
	// Name of the child in errors.
	Name string
	// Path of the executable.
	Path string
	// Args without the program's name.
	Args []string
	// Env is the whole environment; nothing is inherited.
	Env []string
	// Dir is the working directory; empty means this process's own.
	Dir string
	// LogFile receives both outputs; it is appended to and created when missing.
	LogFile string
	// Credential runs the child as another user; nil means the own one.
	Credential *syscall.Credential
	// StopSignal asks the child to stop; zero means SIGTERM.
	StopSignal syscall.Signal
	// Grace is the time between StopSignal and the kill of the group; zero means 30 s.
	Grace time.Duration
	// DeathSignal is sent by the kernel when this process dies; zero means SIGKILL.
	DeathSignal syscall.Signal
	// Detached gives the child a session of its own and lets it outlive this process.
	Detached bool
}

// ExitError says how a child ended, with the end of what it had logged since its start.
type ExitError struct {
	Name    string
	State   string
	LogFile string
	LogTail string
}

func (e *ExitError) Error() string {
	if e.LogTail == "" {
		return fmt.Sprintf("%s ended (%s) without a word in %s", e.Name, e.State, e.LogFile)
	}
	return fmt.Sprintf("%s ended (%s), the end of %s:\n%s", e.Name, e.State, e.LogFile, e.LogTail)
}

// Process is a started child. Its methods may be called from any goroutine.
type Process struct {
	spec      Spec
	pid       int
	logOffset int64
	exited    chan struct{}
	state     *os.ProcessState // set before exited is closed
}

// Start starts the child and returns as soon as it runs; see [Process.WaitReady] for more.
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
// process does, and Go ends idle threads at will: so the thread is held for as long as the child lives.
func (p *Process) run(log *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(p.spec.Path, p.spec.Args...) //nolint:noctx // its life is bound by Stop and Kill, not by a context
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

// openLog opens path for appending and says how long it already is.
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

// PID is the child's process id, which is also the id of its process group.
func (p *Process) PID() int { return p.pid }

// Exited is closed when the child has ended and is reaped.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Running says whether the child has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// ExitCode is the child's exit code, -1 while it runs and when a signal ended it.
func (p *Process) ExitCode() int {
	if p.Running() {
		return -1
	}
	return p.state.ExitCode()
}

// Err is nil while the child runs, and then an *[ExitError] however well it ended: a server that ended by itself is a
// fault in any case.
func (p *Process) Err() error {
	if p.Running() {
		return nil
	}
	return &ExitError{
		Name: p.spec.Name, State: p.state.String(), LogFile: p.spec.LogFile, LogTail: tail(p.spec.LogFile, p.logOffset),
	}
}

// LogTail is the end of what the child has logged since its start, at most a few kilobytes.
func (p *Process) LogTail() string { return tail(p.spec.LogFile, p.logOffset) }

// Stop asks the child to stop, waits for its end, and kills its group when the grace period or ctx is over first. It
// returns nil when the child ended in time or had ended before, and an error when it had to be killed.
func (p *Process) Stop(ctx context.Context) error { return p.end(ctx, p.spec.StopSignal) }

// Discard ends the child as the kernel would when this process died, without a clean stop, and waits for its end.
func (p *Process) Discard(ctx context.Context) error { return p.end(ctx, p.spec.DeathSignal) }

func (p *Process) end(ctx context.Context, signal syscall.Signal) error {
	if !p.Running() {
		p.killGroup()
		return nil
	}
	grace, cancel := context.WithTimeoutCause(ctx, p.spec.Grace, fmt.Errorf("%s did not stop within %s", p.spec.Name, p.spec.Grace))
	defer cancel()
	// Only the child is signaled: how its own children end is its own affair, as it is for any service manager.
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

// Kill kills the whole group at once, as a crash would, and waits for the child's end.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	<-p.exited
	p.killGroup() // and waits for the rest
}

// killGroup also reaches members that outlived the child itself, and waits for their end: RabbitMQ's node is the child of
// its start script, and its ports are free only when it is gone itself. The group's id cannot have been given to a stranger
// as long as one member lives, and an empty group is a harmless ESRCH (pids are reused only after a full turn).
func (p *Process) killGroup() {
	for deadline := time.Now().Add(groupEnd); syscall.Kill(-p.pid, syscall.SIGKILL) == nil && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // nobody but their parent, which is not us, is told of the members' end
	}
}

// groupEnd bounds the wait for killed members: large ones take tens of milliseconds to be torn down, and where nobody reaps
// orphans (a container without an init) they stay as zombies.
const groupEnd = 2 * time.Second

// Signal sends one signal to the child alone.
func (p *Process) Signal(signal syscall.Signal) error {
	if err := syscall.Kill(p.pid, signal); err != nil {
		return fmt.Errorf("signal %s: %w", p.spec.Name, err)
	}
	return nil
}

// readyInterval is the pause between two probes. Servers give no event that works for all of them, and a probe of a
// closed port costs microseconds.
const readyInterval = 25 * time.Millisecond

// WaitReady calls probe until it returns nil. It fails with an *[ExitError] as soon as the child ends, and with the
// last probe's error and the log's tail when ctx ends; it does not stop the child.
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
			return fmt.Errorf("%s is not ready (%w): %w; the end of %s:\n%s", p.spec.Name, context.Cause(ctx), err, p.spec.LogFile, p.LogTail())
		case <-ticker.C:
		}
	}
}
