package problem

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// ContentType is the media type of RFC 9457.
const ContentType = "application/problem+json"

// typePrefix turns a code into the URI that RFC 9457 requires as a problem's type. A tag URI (RFC 4151) identifies it
// without promising a page that every installation would have to serve.
const typePrefix = "tag:docmill,2026:problem:"

// Answer is the body of a response with a problem. Remedy is an extension member that says how to solve the problem.
type Answer struct {
	Type     string  `json:"type"`
	Title    string  `json:"title"`
	Status   int     `json:"status"`
	Detail   string  `json:"detail,omitempty"`
	Remedy   string  `json:"remedy,omitempty"`
	Instance string  `json:"instance,omitempty"`
	Code     Code    `json:"code"`
	TraceID  string  `json:"trace_id,omitempty"`
	Errors   []Field `json:"errors,omitempty"`
}

// Write answers r with the problem in err's chain. It does not log; the caller does.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	problem := From(err)
	entry := Describe(problem.Code)
	answer := Answer{
		Type:     typePrefix + string(problem.Code),
		Title:    entry.Title,
		Status:   entry.Status,
		Detail:   problem.Detail,
		Remedy:   entry.Remedy,
		Instance: r.URL.Path,
		Code:     problem.Code,
		Errors:   problem.Fields,
	}
	if span := trace.SpanContextFromContext(r.Context()); span.HasTraceID() {
		answer.TraceID = span.TraceID().String()
	}
	header := w.Header()
	header.Set("Content-Type", ContentType)
	header.Set("Cache-Control", "no-store")
	if problem.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int((problem.RetryAfter+time.Second-1)/time.Second)))
	}
	for _, name := range []string{"ETag", "Content-Length", "Content-Disposition", "Repr-Digest", "Last-Modified"} {
		header.Del(name) // of the representation that this answer replaces
	}
	w.WriteHeader(entry.Status)
	_ = json.NewEncoder(w).Encode(answer) // fails only when the client has disconnected
}
