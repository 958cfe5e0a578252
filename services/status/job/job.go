// Package job is the domain of the status service: what is known about a conversion job, and how an event changes it.
// It is pure logic without input or output.
//
// Events may arrive twice, late, in any order, and at several replicas at once. The state that they lead to does not
// depend on that: a terminal state is left only by a retry, and before it the newest event of the newest attempt counts. Only
// if a job has two completions does the order decide: the first one wins.
package job

import (
	"time"

	"github.com/google/uuid"
)

// Status is the state of a job. Its values are stored in databases and must not change.
type Status string

// A job is queued, then running (and queued again while it waits for another attempt), and ends in one of the rest.
const (
	Queued    Status = "queued"
	Running   Status = "running"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Canceled  Status = "canceled"
)

// Terminal reports whether a job with this status has ended. Only a retry changes a terminal status.
func (s Status) Terminal() bool { return s == Succeeded || s == Failed || s == Canceled }

// Phase is the step that a running attempt is in. The values are those of the messages and of the databases; later
// steps are greater.
type Phase int16

// The steps of an attempt.
const (
	NoPhase Phase = iota
	Loading
	Converting
	Storing
)

// Job is what is known about one job. It is a value: nothing that it points to is ever changed. Zero times are unknown;
// all times are UTC in whole microseconds, which is the precision that the stores keep.
type Job struct {
	ID uuid.UUID
	// Version counts the changes: equal versions of a job have equal contents.
	Version int64
	// Record is the record of the job's submission.
	Record
	// Others are the records of further submissions under the same id, until one of them is known to be the job's.
	Others []Record
	// Gone is set if the job was deleted or has expired. The job is then a tombstone, which no event revives. It has only what is
	// needed to delete its files, and is itself deleted at ExpiresAt.
	Gone   Gone
	GoneAt time.Time
	// FilesDeleted is set if the files of a tombstone have been deleted, and SourceDeleted if the document of a job has.
	FilesDeleted, SourceDeleted bool
	// Unpublished is set while the command of a retried job may not have been published.
	Unpublished bool
	// DueAt is when the housekeeping of the job has to do something next; zero if nothing is to be done.
	DueAt time.Time
}

// Gone is the reason why a job is a tombstone. Its values are stored in databases and must not change.
type Gone string

// The reasons. Jobs that are not gone have none.
const (
	Deleted Gone = "deleted"
	Expired Gone = "expired"
)

// Record is what is known about one submission and its conversion.
type Record struct {
	// SubmissionID is uuid.Nil if no event has named one, as those of older gateways and converters do not.
	SubmissionID uuid.UUID
	// Generation counts how many times the client has retried the job. Events of another generation have no effect.
	Generation int32
	// Submission is nil in a placeholder: only later events are known yet. Clients do not see placeholders.
	Submission *Submission
	// Withdrawn is set if the submission was rejected and nothing else is known of it. Clients do not see it.
	Withdrawn bool
	Status    Status
	// Attempt counts from 1; it is 0 before the first attempt is known.
	Attempt int32
	// UpdatedAt is the time of the event that Status, Phase and Percent come from. It is zero once the job has ended.
	UpdatedAt time.Time
	Phase     Phase
	Percent   int32
	// Retry is set while the job waits for its next attempt.
	Retry      *Retry
	StartedAt  time.Time
	FinishedAt time.Time
	// ExpiresAt is when the files of an ended job are deleted, and SourceExpiresAt when its document is, which is not later. They
	// are zero before the end, and if an earlier release has ended the job.
	ExpiresAt       time.Time
	SourceExpiresAt time.Time
	// Result and Warnings are set if the job has succeeded, Failure if it has failed.
	Result   *Result
	Warnings []Warning
	Failure  *Failure
	// Report belongs to the attempt that ended the job; nil if there is none.
	Report *Report
	// Build identifies the converter that made the result; nil if the result must not be reused.
	Build []byte
}

// New returns a placeholder: a job of which nothing is known but its id.
func New(id uuid.UUID) Job { return Job{ID: id, Record: Record{Status: Queued}} }

// Visible reports whether clients may see the job, which is the case once its submission is known, unless that was
// withdrawn. A tombstone has a submission too; see Job.Gone.
func (r Record) Visible() bool { return r.Submission != nil && !r.Withdrawn }

// final reports whether the submission remains the job's: it is known, and it was attempted or has ended.
func (r Record) final() bool { return r.Visible() && (r.Attempt > 0 || r.Status.Terminal()) }

// Submission is what the client requested, and when.
type Submission struct {
	RequestedAt  time.Time
	ObjectKey    string
	Filename     string
	Format       string
	ContentType  string
	Size         int64
	SHA256       []byte
	TargetFormat string
	// Options are the options that the client set, by the API's names, without secrets; nil if there are none. Values are
	// strings, booleans and numbers; a number may be a float64 after it was stored.
	Options map[string]any
	Tag     string
	// Target is the encoded message Target of the command, with its secrets sealed, for a retry; nil if the job cannot be retried
	// any more, or if an earlier release has recorded it.
	Target []byte
	// ClaimKey is the key of the blob that remembers the idempotency key of the submission; empty if it had none.
	ClaimKey string
	// Retention is how long the client wants the files to be kept; 0 if it did not request a time.
	Retention time.Duration
	// Callback is where the end of the job is reported; nil if the client wants no report.
	Callback *Callback
	// CacheDigest identifies what the result depends on, except for the converter; nil if the result must not be reused.
	CacheDigest []byte
}

// Callback says where and about which events a client wants webhooks.
type Callback struct {
	URL string
	// Events are the types of the events to report, such as "job.succeeded".
	Events []string
}

// Result describes the result and where it is stored.
type Result struct {
	ObjectKey   string
	ContentType string
	Size        int64
	SHA256      []byte
	// Pages is 0 for formats without pages.
	Pages int32
}

// Warning is a fact about the result that the user should know.
type Warning struct {
	Code   string
	Detail string
}

// Failure is the reason why a job failed.
type Failure struct {
	Code      string
	Detail    string
	Retryable bool
}

// Retry describes why the last attempt failed, and when the next one starts.
type Retry struct {
	Failure Failure
	// NextAttemptAt is the earliest time at which the next attempt starts, by the clock of the converter.
	NextAttemptAt time.Time
}

// Report describes how a conversion went.
type Report struct {
	// Engine is the program that converted and its version, such as "LibreOffice 7.4.7.2".
	Engine  string
	Seconds Seconds
	// Fonts are the fonts that the document refers to, if they are known.
	Fonts []Font
	// BlockedLinks are external addresses that were not fetched: some of BlockedLinksTotal.
	BlockedLinks        []string
	BlockedLinksTotal   int32
	MacrosBlocked       bool
	HiddenSlidesLeftOut int32
	// MissingCharacters are characters that no font has: some of MissingCharactersTotal.
	MissingCharacters      string
	MissingCharactersTotal int32
	// Cached is set if the result was copied from an earlier job. The rest of the report then describes that conversion.
	Cached bool
}

// Seconds are the durations of a job's steps. A step that was not reached is nil.
type Seconds struct {
	// Queued is the time from the acceptance of the job to the start of its last attempt; the others belong to that
	// attempt.
	Queued *float64
	Fetch  *float64
	Load   *float64
	Export *float64
	Store  *float64
}

// Font is a font that a document refers to.
type Font struct {
	Name string
	// ReplacedBy is the substitute. It is empty if the font was found, or if the substitute is not known.
	ReplacedBy string
	// Found reports whether the font was installed or embedded in the document.
	Found bool
	// SameMetrics reports whether the substitute has the same widths and line height.
	SameMetrics bool
}
