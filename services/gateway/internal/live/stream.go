package live

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
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

// eventStream is a response with server-sent events.
type eventStream struct {
	connection connection
	draining   <-chan struct{}
	sent       int64 // the number of the version that the client has
	written    time.Time
}

// take returns a stream as the response to a request, until draining is closed. The caller closes the stream.
func take(w http.ResponseWriter, r *http.Request, draining <-chan struct{}) (*eventStream, error) {
	connection, err := connectionOf(w, r)
	if err != nil {
		return nil, err
	}
	return &eventStream{connection: connection, draining: draining}, nil
}

func (s *eventStream) close() { _ = s.connection.Close() }

// outlivesHandler reports whether the handler of the request can return while the stream is open.
func (s *eventStream) outlivesHandler() bool {
	_, inside := s.connection.(handled)
	return !inside
}

// begin sends the header and the first lines of the stream, with a version of the job unless the client knows that.
func (s *eventStream) begin(header http.Header, current statusclient.Version, known int64) error {
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache")
	header.Set("X-Accel-Buffering", "no") // nginx would hold events back
	text := s.connection.head(header) + fmt.Sprintf("retry: %d\n", retryAfter.Milliseconds())
	s.sent = current.Number
	if current.Number == known {
		return s.write(text + comment)
	}
	return s.write(text + event(current))
}

// lastEventID returns the number of the version that a client has; 0 if it has none.
func lastEventID(header http.Header) int64 {
	number, err := strconv.ParseInt(header.Get("Last-Event-ID"), 10, 64)
	if err != nil {
		return 0
	}
	return number
}

// follow sends each new version that the reader has until the job has ended, the server drains or the client is gone. It
// returns nil in these cases. It returns at once if reader is nil, because the job has ended then.
func (s *eventStream) follow(ctx context.Context, reader *reader) error {
	if reader == nil {
		return nil
	}
	ctx, gone := context.WithCancel(ctx)
	defer gone()
	go s.awaitClient(gone)
	timer := time.NewTimer(keepAlive)
	defer timer.Stop()
	for {
		latest, changed, err := reader.state()
		if latest.Number > s.sent {
			s.sent = latest.Number
			if err := s.write(event(latest)); err != nil {
				return err
			}
		}
		if err != nil || latest.Status.Terminal() {
			return err
		}
		timer.Reset(time.Until(s.written.Add(keepAlive)))
		select {
		case <-changed:
		case <-timer.C:
			if err := s.write(comment); err != nil {
				return err
			}
		case <-s.draining:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

const comment = ":\n\n"

func event(v statusclient.Version) string {
	return fmt.Sprintf("id: %d\ndata: %s\n\n", v.Number, v.JSON)
}

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

// awaitClient calls gone when the client has disconnected, or has sent more than a stray line after its request.
func (s *eventStream) awaitClient(gone context.CancelFunc) {
	const pieces = 64
	var stray [64]byte
	for range pieces {
		if _, err := s.connection.Read(stray[:]); err != nil {
			break
		}
	}
	gone()
}
