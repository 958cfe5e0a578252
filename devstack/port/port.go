// Package port finds free TCP ports on the loopback interface.
package port

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are drawn from below Linux's ephemeral range (32768 and up): an outgoing connection of any process then never
// takes the port of a server that is about to be restarted on it.
const (
	lowest  = 20000
	highest = 32000
)

// attempts bounds the search; on any usual machine the first draw is free.
const attempts = 200

// ErrNoneFree means that no free port was found.
var ErrNoneFree = errors.New("no free port on 127.0.0.1")

// Free returns n different ports that nobody listened on a moment ago. Another process may still take one first, so
// who uses them tries again with others when that happened.
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

// IsFree says whether a server could listen on the port of 127.0.0.1 right now.
func IsFree(port int) bool {
	listener, err := net.Listen("tcp", Address(port)) //nolint:noctx // binds and closes at once
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

// Address is the loopback address of a port, as in "127.0.0.1:8080".
func Address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
