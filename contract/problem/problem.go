// Package problem contains the catalog of all problems that a client can have, and writes them as RFC 9457 responses.
//
// An Error has two readers. The client gets the code, what failed, why and how to solve it; the log gets the chain of
// causes, which never leaves the process.
package problem

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Error is a problem that is reported to a client. It is immutable once returned.
type Error struct {
	// Code identifies the problem; the catalog has its HTTP status, title and remedy.
	Code Code
	// Detail says what failed this time, in one or two sentences for people. It contains no path, stack trace or secret.
	Detail string
	// Fields are all invalid parts of the request.
	Fields []Field
	// Job is the id of the job that may exist although the submission failed; empty if there is none.
	Job string
	// State is the job in its present state, as clients see it, if that is the reason of the problem; otherwise nil.
	State any
	// RetryAfter is the time after which a retry makes sense; zero if that is unknown.
	RetryAfter time.Duration

	cause error
}

// Field is an invalid part of the request.
type Field struct {
	// Name is the option, parameter or header.
	Name string `json:"name"`
	// Detail says what is wrong with it and what is allowed.
	Detail string `json:"detail"`
}

// New returns a problem whose detail is formatted like fmt.Sprintf.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Because returns a copy with the error that caused it, for the log.
func (e *Error) Because(cause error) *Error {
	with := *e
	with.cause = cause
	return &with
}

// After returns a copy that asks the client to wait before it retries.
func (e *Error) After(wait time.Duration) *Error {
	with := *e
	with.RetryAfter = wait
	return &with
}

// With returns a copy with the invalid fields.
func (e *Error) With(fields ...Field) *Error {
	with := *e
	with.Fields = fields
	return &with
}

// About returns a copy with the id of the job that may exist.
func (e *Error) About(job string) *Error {
	with := *e
	with.Job = job
	return &with
}

// Showing returns a copy with the present state of the job.
func (e *Error) Showing(state any) *Error {
	with := *e
	with.State = state
	return &with
}

// Failure is a problem that ended a job, as it is stored and as the owner of the job sees it. The remedy is not part of
// it: it is looked up in the catalog when the failure is shown.
type Failure struct {
	Code      Code
	Detail    string
	Retryable bool
}

// Failure returns the problem as the failure of a job, without its causes.
func (e *Error) Failure() Failure {
	entry := Describe(e.Code)
	detail := e.Detail
	if e.Code == Internal {
		detail = entry.Title + "." // the detail of From addresses the sender of a request
	}
	return Failure{Code: e.Code, Detail: detail, Retryable: entry.Retryable}
}

// Error returns the code, the detail, the fields and the chain of causes, for the log.
func (e *Error) Error() string {
	var text strings.Builder
	text.WriteString(string(e.Code))
	if e.Detail != "" {
		text.WriteString(": " + e.Detail)
	}
	for _, field := range e.Fields {
		text.WriteString("; " + field.Name + ": " + field.Detail)
	}
	if e.cause != nil {
		text.WriteString(": " + e.cause.Error())
	}
	return text.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// From returns the problem in err's chain. Any other error becomes an Internal problem: its text is for the log only.
func From(err error) *Error {
	if problem, ok := errors.AsType[*Error](err); ok {
		return problem
	}
	return New(Internal, "An unexpected error occurred; it was logged under the trace id of this response.").Because(err)
}
