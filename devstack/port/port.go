// Package port finds free TCP ports on the loopback interface.
package port

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Ports are chosen below Linux's ephemeral range (32768 and up), so that an outgoing connection of any process never
// takes the port of a server that is being restarted.
const (
	lowest  = 20000
	highest = 32000
)

// attempts limits the search; normally the first candidate is free.
const attempts = 200

// ErrNoneFree means that no free port was found.
var ErrNoneFree = errors.New("no free port on 127.0.0.1")

// Free returns n different ports that were free at the time of the call, and reserves them until this process ends: no
// other call returns them, in this or in another process of this user, even while a server is being restarted. A program
// that does not use this package may take one, so callers should retry with other ports.
func Free(n int) ([]int, error) {
	found := make([]int, 0, n)
	for range attempts {
		if len(found) == n {
			return found, nil
		}
		candidate := lowest + rand.IntN(highest-lowest) //nolint:gosec // spreads, protects nothing
		if !IsFree(candidate) {
			continue
		}
		reserved, err := reserve(candidate)
		if err != nil {
			return nil, fmt.Errorf("reserve a port: %w", err)
		}
		if reserved {
			found = append(found, candidate)
		}
	}
	if len(found) == n {
		return found, nil
	}
	return nil, fmt.Errorf("%w between %d and %d after %d attempts", ErrNoneFree, lowest, highest, attempts)
}

// reserve locks the byte of a port in a file that all processes of this user share. It reports whether it could. The lock
// belongs to the descriptor, which stays open until this process ends.
func reserve(port int) (bool, error) {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("docmill-ports-%d", os.Getuid()))
	const mode = 0o600
	descriptor, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, mode)
	if err != nil {
		return false, fmt.Errorf("open %s: %w", path, err)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: int64(port), Len: 1}
	if err := unix.FcntlFlock(uintptr(descriptor), unix.F_OFD_SETLK, &lock); err != nil {
		_ = unix.Close(descriptor)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return false, nil
		}
		return false, fmt.Errorf("lock a byte of %s: %w", path, err)
	}
	return true, nil
}

// IsFree reports whether a server could listen on the port of 127.0.0.1 now.
func IsFree(port int) bool {
	listener, err := net.Listen("tcp", Address(port)) //nolint:noctx // binds and closes at once
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

// Address returns the loopback address of a port, such as "127.0.0.1:8080".
func Address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
