// Package parent is a process that has LibreOffice loaded and forks a child for each document. It is written in C: a Go
// program has many threads, and fork copies only one of them.
//
// Importing the package makes the binary able to be run again as that process. The code takes over in a constructor,
// before Go's runtime starts, when [Start] has set an environment variable and a descriptor that nobody else sets. Package
// protocol describes the conversation with it.
//
// The files:
//
//	parent.c   the process: start, warm-up, forks, reaping
//	child.c    a child: from the fork to its end
//	sandbox.c  what is taken from a child before it opens its document
//	office.c   LibreOfficeKit
//	wire.c     packets
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

// variable makes the binary a parent. C knows it by the same name.
const variable = "DOCMILL_OFFICE_PARENT"

// Process is a running parent. Its methods may be called from several goroutines, except that only one reads.
type Process struct {
	cmd    *exec.Cmd
	socket *os.File
	exited chan struct{}
	err    error // how it ended; readable once exited is closed
	close  func() error
}

// Start runs this binary again as a parent, in a process group of its own, with folder as its working and home folder. It
// inherits nothing else: its environment is env and what the mechanism needs. What it writes to standard output and
// error goes to output. It ends with this process, or by Kill.
func Start(folder string, env []string, output io.Writer) (*Process, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket for LibreOffice's parent process: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "office parent"), os.NewFile(uintptr(pair[1]), "converter")
	defer theirs.Close() // the child has its own
	if err := unix.SetNonblock(pair[1], false); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the socket: %w", err), ours.Close())
	}
	//nolint:noctx // it lives as long as this process, or until Kill
	p := &Process{cmd: exec.Command("/proc/self/exe"), socket: ours, exited: make(chan struct{})}
	p.close = sync.OnceValue(ours.Close)
	p.cmd.Args = []string{"docmill-office"}
	p.cmd.Dir = folder
	p.cmd.WaitDelay = time.Second // a child that was just forked may hold our end of its output
	p.cmd.Env = slices.Concat(env, []string{
		variable + "=1",
		"SAL_LOK_OPTIONS=unipoll", // LibreOffice's main loop runs on the first thread
		"SAL_USE_VCLPLUGIN=svp",   // no screen
		"TMPDIR=/proc/self/cwd",   // each child has its own, see child.c
		"HOME=" + folder,
	})
	p.cmd.ExtraFiles = []*os.File{theirs} // descriptor 3
	p.cmd.Stdout, p.cmd.Stderr = output, output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.run(); err != nil {
		return nil, errors.Join(fmt.Errorf("start LibreOffice's parent process: %w", err), p.close())
	}
	return p, nil
}

func (p *Process) run() error {
	started := make(chan error, 1)
	go func() {
		// The kernel sends Pdeathsig when the *thread* that forked ends, and Go ends idle threads (golang/go#27505): this
		// goroutine keeps its thread for as long as the parent lives.
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

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Err says how it ended, in os/exec's words, once Exited is closed: nil after it ended by itself without complaint.
func (p *Process) Err() error { return p.err }

// sendPatience is how long a packet may wait for room in the socket, which holds dozens: a parent that does not read for
// so long never will.
const sendPatience = 10 * time.Second

// Send sends a packet, with a descriptor or without (nil).
func (p *Process) Send(packet []byte, file *os.File) error {
	var rights []byte
	if file != nil {
		rights = unix.UnixRights(int(file.Fd()))
	}
	raw, err := p.socket.SyscallConn()
	if err == nil {
		err = p.socket.SetWriteDeadline(time.Now().Add(sendPatience))
	}
	if err != nil {
		return fmt.Errorf("send to LibreOffice's parent process: %w", err)
	}
	var sent error
	if err := raw.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), packet, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		return !errors.Is(sent, unix.EAGAIN)
	}); err != nil {
		sent = err
	}
	if sent != nil {
		return fmt.Errorf("send to LibreOffice's parent process: %w", sent)
	}
	return nil
}

// Receive waits for the parent's next packet and reads it into buffer. It returns io.EOF when the parent is gone.
func (p *Process) Receive(buffer []byte) (int, error) {
	n, err := p.socket.Read(buffer)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("receive from LibreOffice's parent process: %w", err)
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
