package live

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/docmill/docmill/services/gateway/internal/statusclient"
)

const (
	// keepAlive is the time between two comments in a silent stream: proxies end silent connections after 30 s or more.
	keepAlive = 15 * time.Second
	// retryAfter is how long an EventSource waits before it connects again.
	retryAfter = 2 * time.Second
	// writeTimeout is how long a write may block because the client does not read.
	writeTimeout = 10 * time.Second
)

// eventStream is a response with server-sent events, on a connection that was taken over from the server: with the
// server's buffers and goroutines, each stream would take 44 KiB instead of 16 KiB.
type eventStream struct {
	connection net.Conn
	written    time.Time
}

// take takes over the connection of a request to send it a stream. The handler must return then. The caller closes the
// stream.
func take(w http.ResponseWriter) (*eventStream, error) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("take over the connection: %w", err)
	}
	return &eventStream{connection: connection}, nil
}

func (s *eventStream) close() { _ = s.connection.Close() }

// begin sends the header and the first lines of the stream, with a version of the job unless the client knows that.
func (s *eventStream) begin(header http.Header, current statusclient.Version, known string) error {
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache")
	header.Set("X-Accel-Buffering", "no") // nginx would hold events back
	header.Set("Connection", "close")     // the body ends with the connection
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var text bytes.Buffer
	text.WriteString("HTTP/1.1 200 OK\r\n")
	_ = header.Write(&text) // a buffer does not fail
	fmt.Fprintf(&text, "\r\nretry: %d\n", retryAfter.Milliseconds())
	if current.ID == known {
		text.WriteString(comment)
	} else {
		text.WriteString(event(current))
	}
	return s.write(text.String())
}

// send sends a version of a job as an event.
func (s *eventStream) send(v statusclient.Version) error { return s.write(event(v)) }

// comment sends a comment, which keeps the connection alive.
func (s *eventStream) comment() error { return s.write(comment) }

const comment = ":\n\n"

func event(v statusclient.Version) string {
	return fmt.Sprintf("id: %s\ndata: %s\n\n", v.ID, v.JSON)
}

// keepAlive returns when the next comment is due.
func (s *eventStream) keepAlive() time.Time { return s.written.Add(keepAlive) }

// write sends text at once.
func (s *eventStream) write(text string) error {
	s.written = time.Now()
	if err := s.connection.SetWriteDeadline(s.written.Add(writeTimeout)); err != nil {
		return fmt.Errorf("send an event: %w", err)
	}
	if _, err := io.WriteString(s.connection, text); err != nil {
		return fmt.Errorf("send an event: %w", err)
	}
	return nil
}

// awaitClient calls gone when the client has disconnected. A client that sends more than its request is not observed any
// further: the next write then finds out.
func (s *eventStream) awaitClient(gone context.CancelFunc) {
	var more [1]byte
	if n, _ := s.connection.Read(more[:]); n == 0 {
		gone()
	}
}
