// Package invocation is what the commands of docmill share: the streams that they use, JSON as output, and how they end.
package invocation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// Streams are the standard streams of the process.
type Streams struct{ Stdin, Stdout, Stderr *os.File }

// PrintJSON prints a value as indented JSON.
func PrintJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// Code is an exit code of the process.
type Code int

// Exit codes. A process that a signal ended has 128 and the number of the signal: 130 for Ctrl-C, 141 for a closed
// pipe, 143 for SIGTERM.
const (
	// Success: everything was converted, or nothing is wrong.
	Success Code = 0
	// Failed: some documents were not converted, the job has failed, or something is wrong.
	Failed Code = 1
	// Usage: the command line, a setting or a combination of them is wrong. Nothing was done.
	Usage Code = 2
	// Unavailable: the server cannot be reached, the conversion engine cannot be started, or the input to be checked cannot be read.
	Unavailable Code = 3

	signaled Code = 128
)

// Error ends a command with an exit code.
type Error struct {
	Code Code
	// Err is printed; nil if everything was said.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Exit returns the error that ends a command with a code and prints nothing: nil for [Success].
func Exit(code Code) error {
	if code == Success {
		return nil
	}
	return &Error{Code: code}
}

// Errorf returns an error that ends a command with a code.
func Errorf(code Code, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// EngineUnavailable returns an error that ends a command because documents cannot be converted on this machine.
func EngineUnavailable(err error) error {
	return Errorf(Unavailable, "%w\ndocmill doctor tells more", err)
}

// CodeOf returns the exit code for the error of a command that had the context, and what to print; nil if that is nothing.
func CodeOf(ctx context.Context, err error) (Code, error) {
	if err == nil {
		return Success, nil
	}
	if stop, ok := errors.AsType[*Interrupt](context.Cause(ctx)); ok {
		return signaled + Code(stop.Signal), nil
	}
	if ctx.Done() != nil && readerGone() { // the signal may still be on its way
		return signaled + Code(syscall.SIGPIPE), nil
	}
	if known, ok := errors.AsType[*Error](err); ok {
		return known.Code, known.Err
	}
	return Failed, err
}

// Interrupt is the cause of a context that a signal has ended.
type Interrupt struct{ Signal syscall.Signal }

// Error implements error.
func (i *Interrupt) Error() string { return "stopped by " + i.Signal.String() }

// Interruptible returns a context that ends with SIGINT, SIGTERM, the end of the terminal, or when the reader of the standard
// output or error has gone. After that, a second signal ends the process at once.
func Interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals, pipes := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup does
		signal.Notify(signals, syscall.SIGHUP)
	}
	signal.Notify(pipes, syscall.SIGPIPE) // until the end: without it, the next write would end the process
	go func() {
		for {
			select {
			case received := <-signals:
				signal.Stop(signals)
				number, _ := received.(syscall.Signal)
				cancel(&Interrupt{number})
				return
			case <-pipes: // or a connection to a server was closed
				if readerGone() {
					signal.Stop(signals)
					cancel(&Interrupt{syscall.SIGPIPE})
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { cancel(nil); signal.Stop(signals) }
}

// readerGone reports whether the standard output or error is a pipe without a reader.
func readerGone() bool {
	streams := []unix.PollFd{{Fd: 1}, {Fd: 2}}
	n, err := unix.Poll(streams, 0)
	return err == nil && n > 0 && (streams[0].Revents|streams[1].Revents)&unix.POLLERR != 0
}

// Await returns what f returns, or the cause of the end of ctx. f, which may block in a system call, then goes on until
// the process ends.
func Await(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
