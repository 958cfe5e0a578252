// Package download sends a result from the object store to a client: whole or in part, streamed, with nothing kept.
package download

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
)

// idle is how long a client may take nothing of an answer. Linux reports a socket writable again only when a third of its
// send buffer is free, and that grows to some 4 MiB: with 30 s a client of 40 KiB/s was cut off while it read steadily. This
// lets one of 12 KiB/s through, and a client that is gone holds a connection to the store no longer.
const idle = 2 * time.Minute

// retryAfter is what a client is told when the store is down.
const retryAfter = 5 * time.Second

// Sender sends results. It is safe for concurrent use.
type Sender struct {
	// Results stores the results.
	Results blob.Bucket
}

// Send answers r, a GET or HEAD, with the result that lies at location. It obeys If-None-Match, If-Match, Range (one; a
// request for several gets the whole, as RFC 9110 allows) and If-Range. A problem that it returns before anything was
// written is to be answered; when the store or the client fails in the middle, the connection ends short of its
// Content-Length.
func (s *Sender) Send(w http.ResponseWriter, r *http.Request, location jobapi.Location) error {
	if err := describe(w.Header(), location); err != nil {
		return err
	}
	if strings.Contains(r.Header.Get("Range"), ",") || len(r.Header.Values("Range")) > 1 {
		r.Header.Del("Range") // each would be a request to the store
	}
	source := &object{ctx: r.Context(), sender: s, key: location.ObjectKey, size: location.Size}
	defer source.close()
	answer := &answer{ResponseWriter: w, control: http.NewResponseController(w), source: source, head: r.Method == http.MethodHead}
	http.ServeContent(answer, r, "", time.Time{}, source)
	return answer.end()
}

// describe sets the headers that describe the whole result, whatever part of it is sent.
func describe(header http.Header, location jobapi.Location) error {
	sum, err := hex.DecodeString(location.SHA256)
	if err != nil || len(sum) != 32 || location.Size < 1 {
		return fmt.Errorf("the recorded location of the result is wrong: sha256 %q, size %d", location.SHA256, location.Size)
	}
	header.Set("Content-Type", location.ContentType)
	header.Set("Content-Disposition", disposition(location.Filename))
	header.Set("ETag", `"`+location.SHA256+`"`)
	header.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum)+":") // RFC 9530
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "private, no-cache") // may be kept by its client, but asks each time: a job can be deleted
	return nil
}

// answer stands between ServeContent and the client. It opens the store's object before the first header is written, while a
// failure can still be told, turns ServeContent's plain texts into problems, and bounds slow clients.
type answer struct {
	http.ResponseWriter
	control *http.ResponseController
	source  *object
	head    bool
	refused error // told to the client in place of what ServeContent writes
	broken  error // the client's connection
}

// WriteHeader is where ServeContent has decided what it answers.
func (a *answer) WriteHeader(status int) {
	header := a.Header()
	switch status {
	case http.StatusOK, http.StatusPartialContent:
		if !a.head {
			a.refused = a.source.open(header.Get("Content-Length"))
		}
	case http.StatusRequestedRangeNotSatisfiable:
		a.refused = problem.New(problem.RangeInvalid, "The result has %d bytes.", a.source.size)
	case http.StatusPreconditionFailed:
		a.refused = problem.New(problem.PreconditionFailed, "The result has another ETag.")
	case http.StatusNotModified:
	default:
		a.refused = fmt.Errorf("serve the result: unexpected status %d", status)
	}
	if a.refused == nil {
		a.ResponseWriter.WriteHeader(status)
	}
}

// Write gives the client another idle time to take the piece.
func (a *answer) Write(p []byte) (int, error) {
	if a.refused != nil {
		return 0, a.refused
	}
	_ = a.control.SetWriteDeadline(time.Now().Add(idle))
	n, err := a.ResponseWriter.Write(p)
	if err != nil {
		a.broken = err
	}
	return n, err
}

// end says how it went, and leaves the connection fit for the next request.
func (a *answer) end() error {
	if a.refused != nil {
		if problem.From(a.refused).Code != problem.RangeInvalid {
			a.Header().Del("Content-Range") // which tells the size there
		}
		a.Header().Del("Accept-Ranges")
		return a.refused
	}
	if a.broken != nil {
		return fmt.Errorf("send the result: %w", a.broken)
	}
	if a.source.failure != nil {
		return fmt.Errorf("send the result: %w", a.source.failure)
	}
	err := a.control.Flush() // while the deadline still holds; the server's own flush has none
	_ = a.control.SetWriteDeadline(time.Time{})
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("send the result: %w", err)
	}
	return nil
}

// unreachable tells apart why an object cannot be opened.
func unreachable(ctx context.Context, err error) error {
	if errors.Is(err, blob.ErrNotFound) && ctx.Err() == nil {
		return problem.New(problem.Internal, "The result's file is not where it should be.").Because(err)
	}
	return problem.New(problem.StoreUnavailable, "The result cannot be read.").After(retryAfter).Because(err)
}
