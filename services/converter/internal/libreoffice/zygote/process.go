// Package zygote starts zygotes: processes that have LibreOffice loaded and fork a child for each document. A zygote is
// written in C: a Go program has many threads, and fork copies only one of them.
//
// Any program that links this package, with cgo, can be run again as a zygote: [Start] runs /proc/self/exe, so that the
// zygote is the same build even if the file was replaced meanwhile. A C constructor, which runs before Go's runtime and
// before any thread is started, checks the environment variable DOCMILL_ZYGOTE. Only Start sets it, together with a
// socket as descriptor 3, and the zygote removes it from its environment; then LibreOffice takes over the process, and
// main is never called. In every other process the constructor is a single getenv: the program is not affected,
// whatever it does with its arguments, descriptors, signals or threads. If the variable is set by anything else, the
// constructor finds no such socket, prints that and exits with status 2: otherwise the program would seem to run but
// would not do what was intended.
//
// Package wire describes the packets on the socket. The files:
//
//	zygote.c     the process: start, warm-up, forks, reaping
//	child.c      a child, from the fork to its end
//	sandbox.c    the restrictions of a child, set before it opens its document
//	office.c     LibreOfficeKit
//	hugepages.c  huge pages for what all children use
//	packet.c     encoding and decoding of packets
//
// Two hooks in C are for tests: the weak symbols docmill_probe and docmill_destroys, which only package probe defines.
package zygote

/*
#cgo CFLAGS: -O2 -std=gnu11 -Wall -Wextra -Werror=implicit-function-declaration
#cgo LDFLAGS: -ldl
*/
import "C"

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// variable makes the program a zygote. zygote.c has the same name.
const variable = "DOCMILL_ZYGOTE"

// Process is a running zygote. Its methods are safe for concurrent use, except Receive.
type Process struct {
	cmd    *exec.Cmd
	socket *os.File
	exited chan struct{}
	err    error // how it ended; set when exited is closed
	close  func() error
}

// Start runs this program again as a zygote, in a process group of its own, with directory as its working and home
// directory. It inherits nothing else: its environment is env and what a zygote needs. Its standard output and error go
// to output. It ends with this process, or by Kill.
func Start(directory string, env []string, output io.Writer) (*Process, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("create a socket for LibreOffice's zygote: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "zygote"), os.NewFile(uintptr(pair[1]), "converter")
	defer theirs.Close() // the zygote has a copy
	if err := unix.SetNonblock(pair[1], false); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the socket: %w", err), ours.Close())
	}
	//nolint:noctx // it lives as long as this process, or until Kill
	p := &Process{cmd: exec.Command("/proc/self/exe"), socket: ours, exited: make(chan struct{})}
	p.close = sync.OnceValue(ours.Close)
	p.cmd.Args = []string{"docmill-zygote"}
	p.cmd.Dir = directory
	p.cmd.WaitDelay = time.Second // a child that was just forked may hold the output pipe
	p.cmd.Env = slices.Concat(env, []string{
		variable + "=1",
		"SAL_LOK_OPTIONS=unipoll", // LibreOffice's main loop runs on the first thread
		"SAL_USE_VCLPLUGIN=svp",   // no screen
		"TMPDIR=/proc/self/cwd",   // each child has one of its own, see child.c
		"HOME=" + directory,
	})
	p.cmd.ExtraFiles = []*os.File{theirs} // descriptor 3
	p.cmd.Stdout, p.cmd.Stderr = output, output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.run(); err != nil {
		return nil, errors.Join(fmt.Errorf("start LibreOffice's zygote: %w", err), p.close())
	}
	return p, nil
}

func (p *Process) run() error {
	started := make(chan error, 1)
	go func() {
		// The kernel sends Pdeathsig when the *thread* that forked ends, and Go ends idle threads (golang/go#27505):
		// this goroutine keeps its thread for as long as the zygote lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.exited)
		}
	}()
	return <-started
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited returns a channel that is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Err returns how the process ended, as os/exec reports it, once Exited is closed: nil if it exited with status 0.
func (p *Process) Err() error { return p.err }

// sendTimeout is how long a packet may wait for room in the socket, which holds dozens: a zygote that does not read for
// so long never will.
const sendTimeout = 10 * time.Second

// Send sends a packet, with a descriptor unless file is nil.
func (p *Process) Send(packet []byte, file *os.File) error {
	var rights []byte
	if file != nil {
		rights = unix.UnixRights(int(file.Fd()))
	}
	raw, err := p.socket.SyscallConn()
	if err == nil {
		err = p.socket.SetWriteDeadline(time.Now().Add(sendTimeout))
	}
	if err != nil {
		return fmt.Errorf("send to LibreOffice's zygote: %w", err)
	}
	var sent error
	if err := raw.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), packet, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		return !errors.Is(sent, unix.EAGAIN)
	}); err != nil {
		sent = err
	}
	if sent != nil {
		return fmt.Errorf("send to LibreOffice's zygote: %w", sent)
	}
	return nil
}

// Receive waits for the zygote's next packet and reads it into buffer. It returns io.EOF when the zygote is gone.
func (p *Process) Receive(buffer []byte) (int, error) {
	n, err := p.socket.Read(buffer)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("receive from LibreOffice's zygote: %w", err)
	}
	return n, err
}

// Kill ends the process and its children at once, and returns when it is dead. It may be called more than once.
func (p *Process) Kill() error {
	err := p.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-p.exited
	return errors.Join(err, p.close())
}
