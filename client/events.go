package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"time"

	"github.com/tmaxmax/go-sse"
)

const (
	// silence is how long a stream of events may be silent before its connection is given up. Docmill sends a comment
	// every 15 s.
	silence = 45 * time.Second
	// maxEvent is the largest event that is read, in bytes. Docmill's have 1 to 20 KiB.
	maxEvent = 1 << 20
)

var (
	// errStreamEnded is the cause of the end of a stream whose job has ended, or whose reader has stopped.
	errStreamEnded = errors.New("the stream has ended")
	// errHeldBack means that the stream cannot be used, for example because a proxy keeps the events for later.
	errHeldBack = errors.New("the server answered with a stream of events, but no event arrived")
)

// Events follows a job: it yields the present state and then every change, until the job has ended. Between two states
// that it yields, others may have been skipped. After a lost connection it continues where it was.
//
// A job that failed is not an error: see [Job.Err]. An error is the last element; a [*Problem] with
// [CodeRouteNotFound] means that the Docmill is too old for events. [Client.Wait] works with it nevertheless.
//
// The sequence can be ranged over several times, each time from the present state.
func (c *Client) Events(ctx context.Context, id string) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		tries := backoff{limits: c.retries}
		events := stream{client: c, id: id, yield: func(job Job) bool {
			tries.reset()
			return yield(job, nil)
		}}
		for {
			err := events.run(ctx)
			if refusal, ok := errors.AsType[*Problem](err); ok && passing(refusal) {
				if err = tries.wait(ctx, err); err == nil {
					continue
				}
			}
			if err != nil {
				yield(Job{}, err)
			}
			return
		}
	}
}

// stream follows the events of a job.
type stream struct {
	client *Client
	id     string
	// yield is called with each state, and returns false to end the stream.
	yield func(Job) bool

	// last is the id of the last event.
	last string
	// ended is set when yield must not be called again.
	ended bool
}

// run yields states until the job has ended or yield returns false. It connects again after a lost connection, but not
// after a refusal.
func (s *stream) run(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	request, err := s.client.newRequest(ctx, http.MethodGet, jobPath(s.id)+"/events", http.NoBody)
	if err != nil {
		return err
	}
	if s.last != "" {
		request.Header.Set("Last-Event-ID", s.last)
	}
	limits := s.client.retries
	connection := (&sse.Client{
		HTTPClient:        s.client.http,
		ResponseValidator: accept,
		OnRetry: func(err error, _ time.Duration) {
			if s.last == "" && errors.Is(err, errSilent) {
				end(errHeldBack)
			}
		},
		Backoff: sse.Backoff{
			InitialInterval: limits.FirstDelay, MaxInterval: limits.MaxDelay, Multiplier: 2, MaxRetries: maxRetries(limits.Tries),
		},
	}).NewConnection(request)
	connection.Buffer(nil, maxEvent)
	connection.SubscribeMessages(func(event sse.Event) { s.receive(event, end) })
	err = connection.Connect()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if lost, ok := errors.AsType[*sse.ConnectionError](err); ok {
		err = lost.Err // without the words of the library
	}
	if errors.Is(err, errStreamEnded) {
		return nil
	}
	return err
}

// maxRetries returns the number in the terms of the library, where 0 has no limit.
func maxRetries(tries int) int {
	if tries > 1 {
		return tries - 1
	}
	return -1
}

// receive yields the state in an event.
func (s *stream) receive(event sse.Event, end context.CancelCauseFunc) {
	if s.ended || event.Data == "" {
		return // what had arrived before the end, or only a time to wait
	}
	var job Job
	if err := json.Unmarshal([]byte(event.Data), &job); err != nil {
		s.ended = true
		end(fmt.Errorf("decode an event of the job %s: %w", s.id, err))
		return
	}
	s.last = event.LastEventID
	if !s.yield(job) || job.Ended() {
		s.ended = true
		end(errStreamEnded)
	}
}

// accept returns nil if the answer is a stream of events.
func accept(response *http.Response) error {
	if response.StatusCode == http.StatusNoContent { // there is nothing new, and never will be
		return errStreamEnded
	}
	if response.StatusCode != http.StatusOK {
		return problemOf(response)
	}
	if kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err != nil || kind != "text/event-stream" {
		return fmt.Errorf("%s answered with %q instead of events", response.Request.URL.Redacted(), response.Header.Get("Content-Type"))
	}
	response.Body = &audible{ReadCloser: response.Body, limit: silence}
	return nil
}

// errSilent is the error of a body that sent nothing for too long.
var errSilent = errors.New("nothing arrived for too long")

// audible is the body of an answer whose connection is given up when nothing arrives for a while. Without it, a
// connection whose other end has disappeared would be noticed only after minutes.
type audible struct {
	io.ReadCloser

	limit time.Duration
}

// Read implements io.Reader.
func (a *audible) Read(p []byte) (int, error) {
	silent := time.AfterFunc(a.limit, func() { _ = a.Close() }) // which ends the read
	n, err := a.ReadCloser.Read(p)
	if !silent.Stop() && err != nil {
		err = fmt.Errorf("%w: %w", errSilent, err)
	}
	return n, err
}
