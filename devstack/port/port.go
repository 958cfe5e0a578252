// Package port finds free TCP ports on the loopback interface.
package port

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
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

// Free returns n different ports that were free at the time of the call. Another process may take one before it is
// used, so callers should retry with other ports.
func Free(n int) ([]int, error) {
	found := make([]int, 0, n)
	taken := make(map[int]bool, n)
	for range attempts {
		if len(found) == n {
			return found, nil
		}
		candidate := lowest + rand.IntN(highest-lowest) //nolint:gosec // spreads, protects nothing
		if taken[candidate] || !IsFree(candidate) {
			continue
		}
		taken[candidate] = true
		found = append(found, candidate)
	}
	if len(found) == n {
		return found, nil
	}
	return nil, fmt.Errorf("%w between %d and %d after %d attempts", ErrNoneFree, lowest, highest, attempts)
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
