// Package invocation is what the commands of docmill share: the streams that they use, and how they end.
package invocation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Streams are the standard streams of the process.
type Streams struct{ Stdin, Stdout, Stderr *os.File }

// Code is an exit code of the process.
type Code int

// Exit codes. A process that a signal ended has 128 and the number of the signal: 130 for Ctrl-C, 143 for SIGTERM.
const (
	// Success: everything was converted, or nothing is wrong.
	Success Code = 0
	// Failed: some documents were not converted, the job has failed, or something is wrong.
	Failed Code = 1
	// Usage: the command line, a setting or a combination of them is wrong. Nothing was done.
	Usage Code = 2
	// Unavailable: the server cannot be reached, or the conversion engine cannot be started.
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

// CodeOf returns the exit code for an error, and what to print; nil if that is nothing.
func CodeOf(ctx context.Context, err error) (Code, error) {
	if stop, ok := errors.AsType[*Interrupt](context.Cause(ctx)); ok {
		return signaled + Code(stop.Signal), nil
	}
	if known, ok := errors.AsType[*Error](err); ok {
		return known.Code, known.Err
	}
	if err != nil {
		return Failed, err
	}
	return Success, nil
}

// Interrupt is the cause of a context that a signal has ended.
type Interrupt struct{ Signal syscall.Signal }

// Error implements error.
func (i *Interrupt) Error() string { return "stopped by " + i.Signal.String() }

// Interruptible returns a context that ends with SIGINT, SIGTERM or the end of the terminal. A second signal ends the process at once.
func Interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup does
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		select {
		case received := <-signals:
			signal.Stop(signals)
			number, _ := received.(syscall.Signal)
			cancel(&Interrupt{number})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil); signal.Stop(signals) }
}
