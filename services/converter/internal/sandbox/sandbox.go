// Package sandbox runs a program that is not trusted to end, to stay small or to clean up after itself. The program
// runs in its own process group, within limits of time, memory and disk, and optionally confined to a few files and
// system calls. When Run returns, the program and everything that it started are dead.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The limits that a process can exceed. Run returns them wrapped.
var (
	ErrTime   = errors.New("time limit exceeded")
	ErrMemory = errors.New("memory limit exceeded")
	ErrDisk   = errors.New("disk limit exceeded")
)

// Command describes a program to run.
type Command struct {
	// Path is the program's file, and Args its arguments without its name.
	Path string
	Args []string
	// Env is the whole environment: nothing is inherited.
	Env []string
	// Dir is the working directory. The growth of its contents counts against Limits.Disk.
	Dir string
	// Stdin is its standard input; nil means an empty one.
	Stdin *os.File
	// MaxStdout, if positive, keeps up to that many bytes of standard output apart, in Exit.Stdout. Otherwise standard
	// output is part of Exit.Output.
	MaxStdout int
	// Access is what the process may use. Nil means whatever this user may use: the program is not sandboxed.
	Access *Access
	Limits Limits
}

// Limits bound what a process and its descendants may use together. Zero means no limit.
type Limits struct {
	// Time is wall-clock time from the start.
	Time time.Duration
	// Memory is resident memory in bytes. It is sampled (see watchInterval), so a fast process can exceed it briefly.
	Memory int64
	// Disk is the growth of Dir in bytes, sampled too. In addition the kernel enforces it for each single file.
	Disk int64
}

// Exit is how a process ended on its own.
type Exit struct {
	// Code is its exit status, or -1 when a signal ended it.
	Code int
	// Signal is the signal that ended it, or 0.
	Signal syscall.Signal
	// Output is the beginning of what it wrote to standard error, and to standard output unless Command.MaxStdout is
	// set: at most maxOutput bytes.
	Output string
	// Stdout is the beginning of its standard output if Command.MaxStdout is set.
	Stdout string
}

// watchInterval is how often memory and disk usage are measured. A zip bomb of 1 GiB was stopped at 2,112 MiB when its
// limit was 2,048. A measurement takes a few milliseconds, mostly to read the state of every process of the machine
// (150).
const watchInterval = 150 * time.Millisecond

// pipeGrace is how long a process that has left the group may keep its output pipe open before the pipe is closed.
const pipeGrace = time.Second

// Run runs the command until it ends, exceeds a limit or ctx is done, and returns when its whole process group is dead.
// The error is ErrTime, ErrMemory or ErrDisk (wrapped) for a limit, ctx's error for ctx, and otherwise means that the
// program could not be run at all. A process that ends on its own, however badly, is not an error: see Exit.
func Run(ctx context.Context, command Command) (Exit, error) {
	if err := ctx.Err(); err != nil {
		return Exit{}, err
	}
	watch, err := newWatch(command)
	if err != nil {
		return Exit{}, err
	}
	p, err := start(command)
	if err != nil {
		return Exit{}, fmt.Errorf("start %s: %w", command.Path, err)
	}
	killed := p.limit(ctx, command.Limits, watch)
	exit, err := p.end()
	if errors.Is(killed, ErrTime) && err == nil && exit.Signal != syscall.SIGKILL {
		killed = nil // it had exited before it was killed: this process was stopped or starved
	}
	if killed == nil {
		// A file at its limit ends the process with SIGXFSZ, which a program may turn into a failure of another kind.
		killed = watch.disk()
	}
	if killed != nil {
		return exit, killed
	}
	return exit, err
}

// process is a running process group. Its leader stays a zombie until end is called, so that the group's id is not
// reused.
type process struct {
	cmd *exec.Cmd
	// output keeps messages, stdout the standard output if that is kept apart; otherwise stdout is nil.
	output, stdout *head
	exited         chan struct{}
}

func start(command Command) (*process, error) {
	//nolint:noctx // a context would kill only the leader and race with its reaping: see limit and end
	p := &process{cmd: exec.Command(command.Path, command.Args...), output: &head{limit: maxOutput}, exited: make(chan struct{})}
	p.cmd.Env = command.Env
	p.cmd.Dir = command.Dir
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if command.Stdin != nil {
		p.cmd.Stdin = command.Stdin
	}
	if command.MaxStdout > 0 {
		p.stdout = &head{limit: command.MaxStdout}
		p.cmd.Stdout = p.stdout
	}
	p.cmd.WaitDelay = pipeGrace
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	started := make(chan error, 1)
	go p.supervise(command.Access, started)
	err := <-started
	if err == nil {
		err = p.restrict(command.Limits)
	}
	if err != nil {
		if p.cmd.Process != nil {
			_, _ = p.end() // the first error is the one to report
		}
		return nil, err
	}
	return p, nil
}

// supervise starts the process and waits for its end, on one OS thread for all that time: the kernel sends Pdeathsig
// when the *thread* that forked ends, and Go ends idle threads (golang/go#27505).
func (p *process) supervise(access *Access, started chan<- error) {
	runtime.LockOSThread()
	var err error
	if access == nil {
		defer runtime.UnlockOSThread()
	} else {
		// The process inherits the restrictions of the thread that forks it. The thread cannot undo them: it ends with
		// this goroutine, which stays locked to it.
		if unix.Gettid() == os.Getpid() { // the main thread cannot end
			go p.supervise(access, started)
			<-p.exited
			runtime.UnlockOSThread()
			return
		}
		err = access.restrictThread()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	started <- err
	if p.cmd.Process != nil {
		awaitExit(p.cmd.Process.Pid)
	}
	close(p.exited)
}

// restrict sets the limits that the kernel enforces. It happens after the start, because Go cannot do it between fork
// and exec; it takes less time than a program needs to load.
func (p *process) restrict(limits Limits) error {
	pid := p.cmd.Process.Pid
	none := &unix.Rlimit{}
	if err := unix.Prlimit(pid, unix.RLIMIT_CORE, none, nil); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	if limits.Disk > 0 {
		size := uint64(limits.Disk)
		err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: size}, nil)
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("limit the size of files: %w", err)
		}
	}
	// If the machine runs out of memory, this process is killed first and not the one that supervises it. Best effort:
	// some containers do not allow it.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("1000"), 0)
	return nil
}

// awaitExit returns when the process is dead, without reaping it.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// limit waits for the end of the process and returns nil, or the reason why the process must be killed.
func (p *process) limit(ctx context.Context, limits Limits, watch *watch) error {
	var deadline <-chan time.Time
	if limits.Time > 0 {
		timer := time.NewTimer(limits.Time)
		defer timer.Stop()
		deadline = timer.C
	}
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-p.exited:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return fmt.Errorf("%w: %s", ErrTime, limits.Time)
		case <-ticker.C:
			if err := errors.Join(watch.memory(p.cmd.Process.Pid), watch.disk()); err != nil {
				return err
			}
		}
	}
}

// end kills what is left of the group, reaps the leader and returns how it ended.
func (p *process) end() (Exit, error) {
	if err := unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return Exit{}, fmt.Errorf("kill process group %d: %w", p.cmd.Process.Pid, err)
	}
	<-p.exited
	var failed *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &failed) && !errors.Is(err, exec.ErrWaitDelay) {
		return Exit{}, fmt.Errorf("wait for %s: %w", p.cmd.Path, err)
	}
	exit := Exit{Code: p.cmd.ProcessState.ExitCode(), Output: p.output.message()}
	if p.stdout != nil {
		exit.Stdout = p.stdout.String()
	}
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		exit.Signal = status.Signal()
	}
	return exit, nil
}
