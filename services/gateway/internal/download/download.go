// Package download sends results from the blob store to clients: one of them as a whole or in part, or several in an
// archive. Results are streamed.
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

// retryAfter is the Retry-After when the store is down.
const retryAfter = 5 * time.Second

// Sender sends results. It is safe for concurrent use.
type Sender struct {
	// Results stores the results.
	Results blob.Bucket
	// Stall is how long the store may send nothing of a result before its download is ended.
	Stall time.Duration
}

// Send answers r, a GET or HEAD, with the result at location. It supports If-None-Match, If-Match, Range (one; a
// request for several gets everything, as RFC 9110 allows) and If-Range. The caller answers a problem that is returned
// before anything was written. If the store or the client fails in the middle, the connection ends before
// Content-Length is reached.
func (s *Sender) Send(w http.ResponseWriter, r *http.Request, location jobapi.Location) error {
	if err := describe(w.Header(), location); err != nil {
		return err
	}
	if strings.Contains(r.Header.Get("Range"), ",") || len(r.Header.Values("Range")) > 1 {
		r.Header.Del("Range") // each would be a request to the store
	}
	source := &object{ctx: r.Context(), sender: s, key: location.ObjectKey, size: location.Size}
	defer source.close()
	answer := &answer{ResponseWriter: w, source: source, head: r.Method == http.MethodHead}
	http.ServeContent(answer, r, "", time.Time{}, source)
	return answer.end()
}

// describe sets the headers that describe the whole result, even if a part of it is sent.
func describe(header http.Header, location jobapi.Location) error {
	sum, err := hex.DecodeString(location.SHA256)
	if err != nil || len(sum) != 32 || location.Size < 1 {
		return fmt.Errorf("the recorded location of the result is invalid: sha256 %q, size %d", location.SHA256, location.Size)
	}
	header.Set("Content-Type", location.ContentType)
	header.Set("Content-Disposition", disposition(location.Filename))
	header.Set("ETag", `"`+location.SHA256+`"`)
	header.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum)+":") // RFC 9530
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "private, no-cache") // the client may store it, but must revalidate it each time
	return nil
}

// answer is the ResponseWriter for http.ServeContent. It opens the blob before the header is written, while an error can still
// be answered, and turns ServeContent's plain-text errors into problems.
type answer struct {
	http.ResponseWriter

	source  *object
	head    bool
	refused error // the answer in place of what ServeContent writes
	broken  error // of the client's connection
}

// WriteHeader implements http.ResponseWriter. ServeContent has decided on its answer when it calls it.
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
		a.refused = problem.New(problem.PreconditionFailed, "The result has a different ETag.")
	case http.StatusNotModified:
	default:
		a.refused = fmt.Errorf("serve the result: unexpected status %d", status)
	}
	if a.refused == nil {
		a.ResponseWriter.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	if a.refused != nil {
		return 0, a.refused
	}
	n, err := a.ResponseWriter.Write(p)
	if err != nil {
		a.broken = err
	}
	return n, err
}

// end returns the error of the response.
func (a *answer) end() error {
	if a.refused != nil {
		if problem.From(a.refused).Code != problem.RangeInvalid {
			a.Header().Del("Content-Range") // it contains the size
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
	return flush(a.ResponseWriter)
}

// flush sends the part of the response that is still buffered. The server would send it after the handler, but would not
// report an error.
func flush(w http.ResponseWriter) error {
	if err := http.NewResponseController(w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("send the result: %w", err)
	}
	return nil
}

// unreachable returns the problem of a blob that cannot be opened.
func unreachable(ctx context.Context, err error) error {
	if errors.Is(err, blob.ErrNotFound) && ctx.Err() == nil {
		return problem.New(problem.Internal, "The file of the result is missing.").Because(err)
	}
	return problem.New(problem.StoreUnavailable, "The result cannot be read.").After(retryAfter).Because(err)
}
