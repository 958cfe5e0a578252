package statusclient

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/host"
)

const (
	// eventBuffer is how much of a stream is copied at once: an event has 1 to 4 KiB. With 10,000 streams it matters.
	eventBuffer = 2 << 10
	// eventTimeout is how long a write may block because the client does not read.
	eventTimeout = 10 * time.Second
)

// Events forwards the stream of a job's events to the client, until the status service ends it, the client is gone or
// drain is closed; the client then connects again. If the status service does not answer with a stream, Events returns a
// problem and has written nothing.
func (c *Client) Events(w http.ResponseWriter, r *http.Request, id string, drain <-chan struct{}) error {
	ctx, stop := host.Context(r.Context(), drain)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url(jobapi.EventsPath(id)).String(), http.NoBody)
	if err != nil {
		return fmt.Errorf("request the events of a job: %w", err)
	}
	request.Header = selected(r.Header, []string{"Last-Event-Id"})
	inject(ctx, request.Header)
	unanswered := time.AfterFunc(answerTimeout, stop)
	response, err := c.http.Do(request)
	unanswered.Stop()
	if err != nil {
		return unavailable(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNoContent {
		body, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		return withoutStreams(relayed(response, body))
	}
	w.Header().Set("Connection", "close") // the write deadline stays
	maps.Copy(w.Header(), selected(response.Header, eventHeaders))
	w.WriteHeader(response.StatusCode)
	forward(w, response.Body)
	return nil
}

// withoutStreams returns a problem as it is, except that of a status service which is too old for streams. To the client
// the path exists.
func withoutStreams(err error) error {
	if known, ok := errors.AsType[*problem.Error](err); ok && known.Code == problem.RouteNotFound {
		return unavailable(err)
	}
	return err
}

// eventHeaders are the headers of a stream that are forwarded to the client.
var eventHeaders = []string{"Cache-Control", "Content-Type", "X-Accel-Buffering"}

// forward copies a stream to the client until either end is gone. Each read is sent at once.
func forward(w http.ResponseWriter, stream io.Reader) {
	controller := http.NewResponseController(w)
	buffer := make([]byte, eventBuffer)
	for {
		n, err := stream.Read(buffer)
		if n > 0 {
			_ = controller.SetWriteDeadline(time.Now().Add(eventTimeout))
			if _, err := w.Write(buffer[:n]); err != nil {
				return
			}
			if err := controller.Flush(); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
