package httpserver

import (
	"net"
	"sync/atomic"
	"time"
)

// writeTimeout is how long a client may accept no data of a response. Linux reports a socket as writable only when a
// third of its send buffer is free, and the buffer grows to about 4 MiB: with 30 s, the download of a client that read
// steadily at 40 KiB/s was cut off. This value suits clients of 12 KiB/s, and limits how long a download by a lost client
// holds a connection to the store.
const writeTimeout = 2 * time.Minute

// limitWrites returns a listener whose connections give up a write that is blocked for longer than timeout. Otherwise a
// client that reads nothing would hold its connection for good. A handler that sets a write deadline of its own is in
// charge until it removes that.
func limitWrites(listener net.Listener, timeout time.Duration) net.Listener {
	return writeLimiter{listener, timeout}
}

type writeLimiter struct {
	net.Listener

	timeout time.Duration
}

// Accept implements net.Listener.
func (l writeLimiter) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &limitedConn{Conn: accepted, timeout: l.timeout}, nil
}

type limitedConn struct {
	net.Conn

	timeout time.Duration
	handled atomic.Bool // a handler has set a deadline
}

// Write implements net.Conn.
func (c *limitedConn) Write(p []byte) (int, error) {
	if !c.handled.Load() {
		if err := c.Conn.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline implements net.Conn.
func (c *limitedConn) SetWriteDeadline(t time.Time) error {
	c.handled.Store(!t.IsZero())
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (c *limitedConn) SetDeadline(t time.Time) error {
	c.handled.Store(!t.IsZero())
	return c.Conn.SetDeadline(t)
}
