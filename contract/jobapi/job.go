// Package job is the public representation of a job: the JSON that clients read, as the API's contract has it.
package jobapi

import "time"

// Status is where a job stands.
type Status string

// A job is queued, then running (and queued again while it waits for another attempt), and ends in one of the rest.
const (
	Queued    Status = "queued"
	Running   Status = "running"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Canceled  Status = "canceled"
)

// Terminal tells whether the job has ended: a terminal state is never left.
func (s Status) Terminal() bool { return s == Succeeded || s == Failed || s == Canceled }

// Job is what GET /v1/jobs/{id} answers. Times are UTC, sizes bytes.
type Job struct {
	ID         string     `json:"id"`
	Status     Status     `json:"status"`
	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  *time.Time `json:"started_at,omitempty"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	// Attempt counts from 1; 0 before the first one began.
	Attempt  int32     `json:"attempt"`
	Progress *Progress `json:"progress,omitempty"`
	Source   Source    `json:"source"`
	Target   Target    `json:"target"`
	Result   *Result   `json:"result,omitempty"`
	Warnings []Warning `json:"warnings,omitempty"`
	Error    *Error    `json:"error,omitempty"`
	// Report is there when the job has ended, as far as something is known.
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

// Target is what was asked for.
type Target struct {
	Format string `json:"format"`
	// Options are what the client chose, by the names of the API. Passwords are never among them.
	Options map[string]any `json:"options"`
}

// Result is the file that a succeeded job offers.
type Result struct {
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
	Size        int64  `json:"size"`
	// SHA256 is in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
	// Pages is 0, and left out, for formats without pages.
	Pages int32 `json:"pages,omitempty"`
}

// Warning is something about the result that the user should know.
type Warning struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Error is why a job failed. Its code is one of the catalog in package problem.
type Error struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
	// Remedy says how to solve the problem.
	Remedy    string `json:"remedy,omitempty"`
	Retryable bool   `json:"retryable"`
}

// Links are the job's addresses, as absolute paths: the host is the one that the client already talks to.
type Links struct {
	Self   string `json:"self"`
	Result string `json:"result,omitempty"`
}

// Path is the address of the job with this id.
func Path(id string) string { return "/v1/jobs/" + id }

// LinksTo makes the links of a job. Only a succeeded job has a result to link to.
func LinksTo(id string, status Status) Links {
	links := Links{Self: Path(id)}
	if status == Succeeded {
		links.Result = Path(id) + "/result"
	}
	return links
}

// Location says where the result's bytes lie: what status tells the gateway on its internal port, and no client.
type Location struct {
	ObjectKey   string `json:"object_key"`
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
	Size        int64  `json:"size"`
	SHA256      string `json:"sha256"`
}
