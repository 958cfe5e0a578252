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
	"github.com/docmill/docmill/services/status/jobstore"
)

const (
	// keepAlive is the time between two comments in a silent stream: proxies end silent connections after 30 s or more.
	keepAlive = 15 * time.Second
	// progressInterval is how often the progress of a running job is read: nobody is notified of progress.
	progressInterval = time.Second
	// progressReads limits these reads: with more streams than that, each waits longer.
	progressReads = 2000 // per second
	// reconnect is how long an EventSource waits before it connects again.
	reconnect = 2 * time.Second
	// writeTimeout is how long a write may block because the client does not read.
	writeTimeout = 10 * time.Second
)

// events streams the job as server-sent events: its current state, unless the client has it already, and every change
// until it has ended. The id of an event is the version of the job. A client that connects again after the end gets 204,
// so that an EventSource stops.
func (a *api) events(c *gin.Context, id uuid.UUID) error {
	known := lastEventID(c.Request.Header)
	current, err := a.jobs.Job(c.Request.Context(), id)
	if err != nil {
		return err
	}
	if current.Status.Terminal() && current.Version == known {
		c.Status(http.StatusNoContent)
		return nil
	}
	waiter, err := a.streams.Join(id)
	if err != nil && !current.Status.Terminal() {
		return problem.New(problem.StatusUnavailable, "Too many streams of events are open.").After(outageInterval).Because(err)
	}
	if err == nil {
		defer waiter.Leave()
	}
	if err := a.stream(c.Request.Context(), c.Writer, waiter, current, known); err != nil {
		_ = c.Error(err) // for the log: the response has begun, and the client connects again
	}
	return nil
}

// stream writes the events of a job, of which the client knows a version. It returns nil at the end of the job, and when
// the server drains.
func (a *api) stream(ctx context.Context, w http.ResponseWriter, waiter *watch.Waiter, latest job.Job, known int64) error {
	events := openStream(w)
	for {
		if err := events.show(latest, known); err != nil {
			return err
		}
		if latest.Status.Terminal() || httpserver.IsDraining(ctx) {
			return nil
		}
		known = latest.Version
		next, err := a.next(ctx, waiter, latest)
		switch {
		case err == nil:
			latest = next
		case ctx.Err() != nil || errors.Is(err, jobstore.ErrNotFound):
			return err
		default: // an outage: an EventSource that has to connect again would give up if it got an error
			pause(ctx, outageInterval)
		}
	}
}

// next returns the job as soon as it has another version, or as it is after a while.
func (a *api) next(ctx context.Context, waiter *watch.Waiter, last job.Job) (latest job.Job, err error) {
	wait := keepAlive
	if last.Status == job.Running {
		wait = max(progressInterval, time.Duration(a.streams.Count())*time.Second/progressReads)
	}
	err = waiter.Until(ctx, wait, httpserver.Draining(ctx), func(ctx context.Context) (done bool, err error) {
		latest, err = a.jobs.Job(ctx, last.ID)
		return latest.Version != last.Version, err
	})
	return latest, err
}

// pause waits, but not longer than the server and the client do.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-httpserver.Draining(ctx):
	case <-ctx.Done():
	}
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
	header.Set("Connection", "close")     // the write deadline stays
	w.WriteHeader(http.StatusOK)
	return &eventStream{writer: w, controller: http.NewResponseController(w)}
}

// show sends the state of a job, unless the client knows that version.
func (s *eventStream) show(j job.Job, known int64) error {
	var text bytes.Buffer
	if s.written.IsZero() {
		fmt.Fprintf(&text, "retry: %d\n", reconnect.Milliseconds())
	}
	switch {
	case j.Version != known:
		data, err := json.Marshal(represent(j))
		if err != nil {
			return fmt.Errorf("encode the job: %w", err)
		}
		fmt.Fprintf(&text, "id: %d\ndata: %s\n\n", j.Version, data)
	case time.Since(s.written) >= keepAlive: // also at the beginning, to send the header
		text.WriteString(":\n\n")
	}
	return s.write(text.Bytes())
}

// write sends text at once.
func (s *eventStream) write(text []byte) error {
	if len(text) == 0 {
		return nil
	}
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
