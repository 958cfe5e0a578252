// Package jobapi defines the JSON that clients receive: jobs, and what can be converted. The comments of its types and
// members become the descriptions in the OpenAPI document.
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

// Terminal reports whether the job has ended. Only a retry takes it out of a terminal state.
func (s Status) Terminal() bool { return s == Succeeded || s == Failed || s == Canceled }

// MaxArchived is the maximum number of jobs in one archive of results, which bounds what one request costs. That many ids
// take 4 KB of the 32 KiB that the headers of a request may have.
const MaxArchived = 100

// Job is the response to GET /v1/jobs/{id}. Times are in UTC, sizes in bytes.
type Job struct {
	// ID is a UUID.
	ID     string `json:"id"`
	Status Status `json:"status"`
	// CreatedAt is when the document was submitted.
	CreatedAt time.Time `json:"created_at"`
	// StartedAt is when the last attempt began.
	StartedAt *time.Time `json:"started_at,omitempty"`
	// FinishedAt is when the job ended.
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	// ExpiresAt is when the files of the job are deleted. Before the job ends, it is the latest possible time.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	// Generation is how many times the job was retried with POST /v1/jobs/{id}/retry. It is omitted if it is 0.
	Generation int32 `json:"generation,omitempty"`
	// Attempt counts from 1; it is 0 before the first attempt begins.
	Attempt int32 `json:"attempt"`
	// LastError is the reason why the last attempt failed. It is present while a job waits for its next attempt. It has no
	// remedy, because the job continues automatically.
	LastError *Error `json:"last_error,omitempty"`
	// NextAttemptAt is the earliest time at which the next attempt starts. It is present if LastError is present.
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`
	// Progress is present while the job runs.
	Progress *Progress `json:"progress,omitempty"`
	Source   Source    `json:"source"`
	Target   Target    `json:"target"`
	// Result is present if the job succeeded.
	Result   *Result   `json:"result,omitempty"`
	Warnings []Warning `json:"warnings,omitempty"`
	// Error is present if the job failed.
	Error *Error `json:"error,omitempty"`
	// Report is present once the job has ended, and contains what is known by then.
	Report *Report `json:"report,omitempty"`
	// Tag is the label that the client chose.
	Tag   string `json:"tag,omitempty"`
	Links Links  `json:"links"`
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
	Filename string `json:"filename"`
	// ContentType is the media type of the content.
	ContentType string `json:"content_type"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// SHA256 is in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
}

// Target is what the client requested.
type Target struct {
	// Format is the value of the option to.
	Format string `json:"format"`
	// Options are the options that the client set, by their names in the API. Passwords are never included.
	Options map[string]any `json:"options"`
}

// Result is the converted file of a succeeded job.
type Result struct {
	Filename string `json:"filename"`
	// ContentType is the media type of the content.
	ContentType string `json:"content_type"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// SHA256 is in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
	// Pages is 0, and omitted, for formats without pages.
	Pages int32 `json:"pages,omitempty"`
}

// Warning is something about the result that the user should know.
type Warning struct {
	// Code is stable; programs should branch on it.
	Code string `json:"code"`
	// Detail says what it is about; for people.
	Detail string `json:"detail"`
	// Severity is "information" if nothing is missing and lines break in the same places, otherwise "warning".
	Severity string `json:"severity"`
}

// Error is the reason why a job, or an attempt, failed. Its code is one of the catalog of problems.
type Error struct {
	// Code is stable; programs should branch on it.
	Code string `json:"code"`
	// Detail says what failed; for people.
	Detail string `json:"detail"`
	// Remedy says how to solve the problem; for people.
	Remedy string `json:"remedy,omitempty"`
	// Retryable reports whether the same submission may succeed later.
	Retryable bool `json:"retryable"`
}

// Links are the job's URLs, as absolute paths: the client already knows the host.
type Links struct {
	Self string `json:"self"`
	// Events streams the job's changes.
	Events string `json:"events"`
	// Result is present if the job succeeded.
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
