package client

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

// Job is the state of a conversion. Times are in UTC, sizes in bytes.
type Job struct {
	ID        string    `json:"id"`
	Status    Status    `json:"status"`
	CreatedAt time.Time `json:"created_at"`
	// StartedAt is when the last attempt began; nil before the first.
	StartedAt *time.Time `json:"started_at"`
	// FinishedAt is when the job ended; nil before.
	FinishedAt *time.Time `json:"finished_at"`
	// ExpiresAt is when the files of the job are deleted; until the job has ended, the latest possible time. It is nil if the
	// server is of an earlier release.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	// Generation is how many times the job was retried with [Client.Retry].
	Generation int `json:"generation,omitempty"`
	// Attempt counts from 1; it is 0 before the first attempt begins.
	Attempt int `json:"attempt"`
	// LastError is the reason why the last attempt failed, and NextAttemptAt is the earliest time of the next attempt. Both are nil
	// unless the job waits for its next attempt.
	LastError     *JobError  `json:"last_error"`
	NextAttemptAt *time.Time `json:"next_attempt_at"`
	// Progress is nil unless the job is running.
	Progress *Progress `json:"progress"`
	Source   Source    `json:"source"`
	Target   Target    `json:"target"`
	// Result is nil unless the job succeeded.
	Result   *Result   `json:"result"`
	Warnings []Warning `json:"warnings"`
	// Failure is nil unless the job failed.
	Failure *JobError `json:"error"`
	// Report is nil until the job has ended.
	Report *Report `json:"report"`
	// Tag is the option "tag" of the submission.
	Tag string `json:"tag"`
}

// Ended reports whether the job has ended. After that, only a retry changes its status.
func (j Job) Ended() bool { return j.Status == Succeeded || j.Status == Failed || j.Status == Canceled }

// Err returns a [*JobError] if the job ended without a result, and nil otherwise.
func (j Job) Err() error {
	switch {
	case j.Failure != nil:
		return j.Failure
	case j.Status == Failed:
		return &JobError{Code: CodeInternal, Detail: "The server gave no reason."}
	case j.Status == Canceled:
		return &JobError{Code: CodeCanceled, Detail: "The job was canceled."}
	default:
		return nil
	}
}

// Progress is how far a running job has come.
type Progress struct {
	// Phase is loading, converting or storing.
	Phase string `json:"phase"`
	// Percent is 0 to 100 of the current attempt.
	Percent int `json:"percent"`
}

// Source is the uploaded document.
type Source struct {
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
	Size        int64  `json:"size"`
	// SHA256 is in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
}

// Target is what was requested.
type Target struct {
	Format string `json:"format"`
	// Options are those of the submission. Passwords are never included.
	Options map[string]any `json:"options"`
}

// Result is the converted file.
type Result struct {
	// Filename is the name of the document with the new extension. It has no directory.
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
	Size        int64  `json:"size"`
	// SHA256 is in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
	// Pages is 0 for formats without pages.
	Pages int `json:"pages"`
}

// Warning is something that the owner of the document may want to know about the result.
type Warning struct {
	Code   Code   `json:"code"`
	Detail string `json:"detail"`
	// Severity is empty if the server is of an earlier release.
	Severity Severity `json:"severity"`
}

// Severity is how much a warning matters.
type Severity string

// The severities.
const (
	// Information means that nothing is missing and that lines break in the same places.
	Information Severity = "information"
	// Warned means that the result may look different, or lack something.
	Warned Severity = "warning"
)

// Report describes a conversion, up to the step that failed.
type Report struct {
	// Engine is the name and version of the program that converted.
	Engine string `json:"engine"`
	// Seconds are the durations of the steps queued, fetch, load, export and store, without those that did not begin.
	Seconds map[string]float64 `json:"seconds"`
	// Fonts are the fonts that were found in the document, at most 100.
	Fonts []Font `json:"fonts"`
	// BlockedLinks are the external addresses that were not fetched: at most 20 of BlockedLinksTotal.
	BlockedLinks      []string `json:"blocked_links"`
	BlockedLinksTotal int      `json:"blocked_links_total"`
	// MacrosBlocked reports whether the document has macros. They never run.
	MacrosBlocked       bool `json:"macros_blocked"`
	HiddenSlidesLeftOut int  `json:"hidden_slides_left_out"`
	// MissingCharacters are characters of the text that no font has: at most 20 of MissingCharactersTotal.
	MissingCharacters      string `json:"missing_characters"`
	MissingCharactersTotal int    `json:"missing_characters_total"`
	// Cached reports whether the result was copied from an earlier job. The rest of the report then describes that conversion.
	Cached bool `json:"cached"`
}

// Font is a font that a document refers to.
type Font struct {
	Name string `json:"name"`
	// ReplacedBy is the font that was used instead; empty if the font was found, or if the substitute is unknown.
	ReplacedBy string `json:"replaced_by"`
	// SameMetrics reports whether that font has the same widths and line height, so that lines break in the same places.
	SameMetrics bool `json:"same_metrics"`
	// Found reports whether the font was available: installed, or embedded in the document.
	Found bool `json:"found"`
}
