package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Problem is the answer to a request that failed (RFC 9457).
type Problem struct {
	// Status is the HTTP status.
	Status int `json:"status"`
	// Code is the kind of problem. It is empty if the answer is not Docmill's but, for example, that of a proxy.
	Code Code `json:"code"`
	// Title describes the kind of problem, Detail what is wrong with this request, and Remedy what to do about it. They
	// are for people.
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy"`
	// Job is the id of the job that may exist, with [CodeQueueUnconfirmed].
	Job string `json:"job"`
	// JobState is the job, if its state is the reason of the problem, as with [CodeJobNotCancelable]; otherwise nil.
	JobState *Job `json:"job_state"`
	// TraceID is for the operator of the Docmill, who finds the request by it.
	TraceID string `json:"trace_id"`
	// Fields are all invalid options and headers of the request.
	Fields []Field `json:"errors"`
	// RetryAfter is how long to wait before another try; zero if the server did not say.
	RetryAfter time.Duration `json:"-"`
}

// Field is an invalid part of a request.
type Field struct {
	// Name is the option or header.
	Name string `json:"name"`
	// Detail says what is wrong with it and what is allowed.
	Detail string `json:"detail"`
}

// Error returns everything that helps a person to solve the problem.
func (p *Problem) Error() string {
	if p.Code == "" {
		return p.Detail
	}
	said := []string{p.Detail}
	for _, field := range p.Fields {
		said = append(said, field.Name+": "+field.Detail+".")
	}
	return fmt.Sprintf("%s: %s (%d %s, code %s)",
		p.Title, sentences(append(said, p.Remedy)...), p.Status, http.StatusText(p.Status), p.Code)
}

// temporary reports whether the server refused the request for a reason that passes, and did nothing.
func (p *Problem) temporary() bool {
	return slices.Contains([]int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusServiceUnavailable}, p.Status)
}

// faulty reports whether the server, or a proxy, failed in a way that may not happen again.
func (p *Problem) faulty() bool {
	return slices.Contains([]int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout}, p.Status)
}

// JobError is the reason why a job failed.
type JobError struct {
	// Code is the kind of problem.
	Code Code `json:"code"`
	// Detail says what is wrong with this document, and Remedy what to do about it. They are for people.
	Detail string `json:"detail"`
	Remedy string `json:"remedy"`
	// Retryable reports whether the same submission may succeed later.
	Retryable bool `json:"retryable"`
}

// Error returns everything that helps a person to solve the problem.
func (e *JobError) Error() string {
	return fmt.Sprintf("the job failed: %s (%s)", sentences(e.Detail, e.Remedy), e.Code)
}

// IsCode reports whether err is, or wraps, a [*Problem] or a [*JobError] with that code.
func IsCode(err error, code Code) bool {
	if problem, ok := errors.AsType[*Problem](err); ok && problem.Code == code {
		return true
	}
	failure, ok := errors.AsType[*JobError](err)
	return ok && failure.Code == code
}

// sentences joins those that are not empty.
func sentences(all ...string) string {
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), " ")
}

// maxProblem is how much of an answer is read to find a problem, in bytes.
const maxProblem = 64 << 10

// problemOf returns the problem in an answer that is not a success.
func problemOf(response *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxProblem))
	if err != nil {
		return fmt.Errorf("read the answer %s: %w", response.Status, err)
	}
	problem := &Problem{}
	if json.Unmarshal(body, problem) != nil || problem.Code == "" {
		problem = &Problem{Detail: fmt.Sprintf("%s answered %s, which is not a Docmill answer: %.200s",
			response.Request.URL.Redacted(), response.Status, strings.TrimSpace(string(body)))}
	}
	problem.Status = response.StatusCode
	problem.RetryAfter = retryAfter(response.Header)
	return problem
}

// retryAfter returns the value of the header Retry-After, or 0 if there is none.
func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil { // Docmill sends seconds; a proxy may send a date
		return max(time.Until(at), 0)
	}
	return 0
}
