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

// Answer is the body of a response with a problem, as in RFC 9457. The members from Remedy on, except Instance, are
// extensions.
type Answer struct {
	// Type is a URI that identifies the kind of problem.
	Type string `json:"type"`
	// Title names the kind of problem. It is the same for every occurrence.
	Title string `json:"title"`
	// Status is the HTTP status of the response.
	Status int `json:"status"`
	// Detail says what is wrong with this request; for people.
	Detail string `json:"detail,omitempty"`
	// Remedy says how to solve the problem; for people.
	Remedy string `json:"remedy,omitempty"`
	// Instance is the path of the request.
	Instance string `json:"instance,omitempty"`
	// Code is stable; programs should branch on it.
	Code Code `json:"code"`
	// Job is the id of the job that may exist although the submission was not confirmed.
	Job string `json:"job,omitempty"`
	// JobState is the job, as GET /v1/jobs/{id} returns it, if its state does not permit the request.
	JobState any `json:"job_state,omitempty"`
	// TraceID identifies the request for the operator.
	TraceID string `json:"trace_id,omitempty"`
	// Errors are all invalid parts of the request.
	Errors []Field `json:"errors,omitempty"`
}

// Type returns the URI of a code.
func Type(code Code) string { return typePrefix + string(code) }

// Write answers r with the problem in err's chain. It does not log; the caller does.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	problem := From(err)
	entry := Describe(problem.Code)
	answer := Answer{
		Type:     Type(problem.Code),
		Title:    entry.Title,
		Status:   entry.Status,
		Detail:   problem.Detail,
		Remedy:   entry.Remedy,
		Instance: r.URL.Path,
		Code:     problem.Code,
		Job:      problem.Job,
		JobState: problem.State,
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
