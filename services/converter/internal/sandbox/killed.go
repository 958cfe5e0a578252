package sandbox

import (
	"errors"
	"syscall"
)

// ErrKilled means that a program was ended by a signal from outside: by the kernel, when the machine or the container ran
// out of memory, or by an operator. That says nothing about the document that the program worked on.
var ErrKilled = errors.New("killed from outside")

// FromOutside reports whether a signal that ended a program came from outside. Crashes and limits use other signals.
func FromOutside(signal syscall.Signal) bool {
	switch signal {
	case syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT:
		return true
	default:
		return false
	}
}
