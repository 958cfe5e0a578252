// Package problem is the one catalogue of what can go wrong for a client, and the RFC 9457 answer that says so.
//
// An Error has two readers. The client gets the code, what failed, why and how to mend it; the log gets the chain of
// causes, which never leaves the process.
package problem

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Error is one problem on its way to a client. It is immutable once returned.
type Error struct {
	// Code is the stable identifier; the catalogue knows its HTTP status, title and remedy.
	Code Code
	// Detail says what failed this time, in a sentence or two for people. It carries no path, stack or secret.
	Detail string
	// Fields are all the faulty parts of the request at once.
	Fields []Field
	// RetryAfter tells when it makes sense to try again; zero says nothing.
	RetryAfter time.Duration

	cause error
}

// Field is one faulty part of a request.
type Field struct {
	// Name is the option, parameter or header.
	Name string `json:"name"`
	// Detail says what is wrong with it and what is allowed.
	Detail string `json:"detail"`
}

// New makes a problem whose detail is formatted like fmt.Sprintf.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Because gives a copy that also carries the error that led to it, for the log.
func (e *Error) Because(cause error) *Error {
	with := *e
	with.cause = cause
	return &with
}

// After gives a copy that asks the client to wait before it tries again.
func (e *Error) After(wait time.Duration) *Error {
	with := *e
	with.RetryAfter = wait
	return &with
}

// With gives a copy that names the faulty fields.
func (e *Error) With(fields ...Field) *Error {
	with := *e
	with.Fields = fields
	return &with
}

// Error writes the code, the detail, the fields and the chain: the log's view.
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

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// From finds the problem in err's chain. Any other error is an Internal one: its text is for the log only.
func From(err error) *Error {
	if problem, ok := errors.AsType[*Error](err); ok {
		return problem
	}
	return New(Internal, "Something failed on our side; it has been logged under this answer's trace id.").Because(err)
}
