package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/services/status/internal/watch"
	"github.com/docmill/docmill/services/status/job"
)

const (
	// keepAlive is the time between two comments in a silent stream: proxies end silent connections after 30 s or more.
	keepAlive = 15 * time.Second
	// progressInterval is how often the progress of a running job is read: nobody is notified of progress. Only a few jobs
	// run at a time, so that these are few reads.
	progressInterval = time.Second
	// reconnect is how long an EventSource waits before it connects again.
	reconnect = 2 * time.Second
	// writeTimeout is how long a client may take to read an event.
	writeTimeout = 10 * time.Second
)

// events streams the job as server-sent events: its current state, unless the client has it already, and every change
// until it has ended. The id of an event is the version of the job. A client that connects again after the end gets 204,
// so that an EventSource stops.
func (a *api) events(c *gin.Context, id uuid.UUID) error {
	known := lastEventID(c.Request.Header)
	latest, err := a.next(c.Request.Context(), id, known, 0)
	switch {
	case errors.Is(err, watch.ErrFull):
		return problem.New(problem.StatusUnavailable, "Too many requests are waiting for jobs.").After(outageInterval)
	case err != nil:
		return err
	case latest.Status.Terminal() && latest.Version == known:
		c.Status(http.StatusNoContent)
		return nil
	}
	stream := openStream(c.Writer)
	defer stream.close()
	for err == nil {
		if latest.Version == known {
			err = stream.keepAlive()
		} else {
			known = latest.Version
			err = stream.send(latest)
		}
		if err != nil || latest.Status.Terminal() || httpserver.IsDraining(c.Request.Context()) {
			break
		}
		latest, err = a.next(c.Request.Context(), id, known, patience(latest))
	}
	if err != nil {
		_ = c.Error(err) // for the log: the client connects again
	}
	return nil
}

// patience returns how long to wait for a notification of a change.
func patience(j job.Job) time.Duration {
	if j.Status == job.Running {
		return progressInterval
	}
	return keepAlive
}

// next returns the job as soon as it has another version than known, or after the wait.
func (a *api) next(ctx context.Context, id uuid.UUID, known int64, wait time.Duration) (latest job.Job, err error) {
	err = a.waiters.Until(ctx, id, wait, httpserver.Draining(ctx), func(ctx context.Context) (done bool, err error) {
		latest, err = a.jobs.Job(ctx, id)
		return latest.Version != known, err
	})
	return latest, err
}

// lastEventID returns the version of the job that a client has; 0 if it has none.
func lastEventID(header http.Header) int64 {
	version, err := strconv.ParseInt(header.Get("Last-Event-ID"), 10, 64)
	if err != nil {
		return 0
	}
	return version
}

// eventStream is a response with server-sent events.
type eventStream struct {
	writer     http.ResponseWriter
	controller *http.ResponseController
	written    time.Time
}

func openStream(w http.ResponseWriter) *eventStream {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache")
	header.Set("X-Accel-Buffering", "no") // nginx would hold events back
	w.WriteHeader(http.StatusOK)
	return &eventStream{writer: w, controller: http.NewResponseController(w)}
}

// send sends the state of a job.
func (s *eventStream) send(j job.Job) error {
	data, err := json.Marshal(represent(j))
	if err != nil {
		return fmt.Errorf("encode the job: %w", err)
	}
	var event bytes.Buffer
	if s.written.IsZero() {
		fmt.Fprintf(&event, "retry: %d\n", reconnect.Milliseconds())
	}
	fmt.Fprintf(&event, "id: %d\ndata: %s\n\n", j.Version, data)
	return s.write(event.Bytes())
}

// keepAlive sends a comment if nothing was sent for a while.
func (s *eventStream) keepAlive() error {
	if time.Since(s.written) < keepAlive {
		return nil
	}
	return s.write([]byte(":\n\n"))
}

// close makes the connection usable for other requests.
func (s *eventStream) close() { _ = s.controller.SetWriteDeadline(time.Time{}) }

func (s *eventStream) write(text []byte) error {
	s.written = time.Now()
	_ = s.controller.SetWriteDeadline(s.written.Add(writeTimeout)) // in-process there is none
	if _, err := s.writer.Write(text); err != nil {
		return fmt.Errorf("send an event: %w", err)
	}
	if err := s.controller.Flush(); err != nil {
		return fmt.Errorf("send an event: %w", err)
	}
	return nil
}
