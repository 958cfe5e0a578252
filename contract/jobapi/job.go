// Package jobapi defines the public representation of a job: the JSON that clients receive.
package jobapi

import "time"

// Status is the state of a job.
type Status string

// A job is queued, then running (and queued again while it waits for another attempt), and ends in one of the others.
const (
	Queued    Status = "queued"
	Running   Status = "running"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Canceled  Status = "canceled"
)

// Terminal reports whether the job has ended: a terminal state is never left.
func (s Status) Terminal() bool { return s == Succeeded || s == Failed || s == Canceled }

// Job is the response to GET /v1/jobs/{id}. Times are in UTC, sizes in bytes.
type Job struct {
	ID         string     `json:"id"`
	Status     Status     `json:"status"`
	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  *time.Time `json:"started_at,omitempty"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	// Attempt counts from 1; it is 0 before the first attempt begins.
	Attempt  int32     `json:"attempt"`
	Progress *Progress `json:"progress,omitempty"`
	Source   Source    `json:"source"`
	Target   Target    `json:"target"`
	Result   *Result   `json:"result,omitempty"`
	Warnings []Warning `json:"warnings,omitempty"`
	Error    *Error    `json:"error,omitempty"`
	// Report is present once the job has ended, and contains what is known by then.
	Report *Report `json:"report,omitempty"`
	Tag    string  `json:"tag,omitempty"`
	Links  Links   `json:"links"`
}

// Progress is how far a running job has come.
type Progress struct {
	// Phase is loading, converting or storing.
	Phase string `json:"phase"`
	// Percent is 0 to 100 of the whole attempt.
	Percent int32 `json:"percent"`
}

// Source is the uploaded document.
type Source struct {
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
	Size        int64  `json:"size"`
	// SHA256 is in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
}

// Target is what the client requested.
type Target struct {
	Format string `json:"format"`
	// Options are the options that the client set, by their names in the API. Passwords are never included.
	Options map[string]any `json:"options"`
}

// Result is the converted file of a succeeded job.
type Result struct {
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
	Size        int64  `json:"size"`
	// SHA256 is in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
	// Pages is 0, and omitted, for formats without pages.
	Pages int32 `json:"pages,omitempty"`
}

// Warning is something about the result that the user should know.
type Warning struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Error is the reason why a job failed. Code is one of the catalog in package problem.
type Error struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
	// Remedy says how to solve the problem.
	Remedy    string `json:"remedy,omitempty"`
	Retryable bool   `json:"retryable"`
}

// Links are the job's URLs, as absolute paths: the client already knows the host.
type Links struct {
	Self   string `json:"self"`
	Events string `json:"events"`
	Result string `json:"result,omitempty"`
}

// Path returns the path of the job with this id.
func Path(id string) string { return "/v1/jobs/" + id }

// EventsPath returns the path of the server-sent events of the job with this id.
func EventsPath(id string) string { return Path(id) + "/events" }

// LinksTo returns the links of a job. Only a succeeded job has a result to link to.
func LinksTo(id string, status Status) Links {
	links := Links{Self: Path(id), Events: EventsPath(id)}
	if status == Succeeded {
		links.Result = Path(id) + "/result"
	}
	return links
}

// Location is where the result is stored. The status service sends it to the gateway on its internal port, and never to
// a client.
type Location struct {
	ObjectKey   string `json:"object_key"`
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
	Size        int64  `json:"size"`
	SHA256      string `json:"sha256"`
}
