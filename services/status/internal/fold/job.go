// Package fold is a job's life as pure logic: what is known of a job, and what an event makes of it.
//
// Events may come twice, late, in any order, and through several replicas at once. What they add up to does not depend
// on that: a terminal state is never left, and before it the newest attempt's newest event counts. Only when a job has
// two completions does the order decide: the first one wins.
package fold

import (
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/contract/jobapi"
)

// Phase is the step that a running attempt is in. The values are those of the messages and of the database; later steps
// are greater.
type Phase int16

// The steps of an attempt.
const (
	NoPhase Phase = iota
	Loading
	Converting
	Storing
)

// Job is what is known of one job. It is a value: nothing that it points to is ever changed. Zero times are unknown
// ones; all times are UTC in whole microseconds, which is what PostgreSQL keeps.
type Job struct {
	ID uuid.UUID
	// Version counts the changes: equal versions of a job have equal contents.
	Version int64
	// Submission is nil in a stub, of which only later events are known yet. To clients a stub does not exist.
	Submission *Submission
	Status     jobapi.Status
	// Attempt counts from 1; 0 before the first one is known.
	Attempt int32
	// MovedAt is the time of the event that Status, Phase and Percent come from, as long as the job has not ended.
	MovedAt    time.Time
	Phase      Phase
	Percent    int32
	StartedAt  time.Time
	FinishedAt time.Time
	// Result and Warnings are set when the job has succeeded, Failure when it has failed.
	Result   *Result
	Warnings []Warning
	Failure  *Failure
	// Report belongs to the attempt that ended the job; nil when there is none.
	Report *jobapi.Report
}

// New is a job of which nothing is known but that it exists.
func New(id uuid.UUID) Job { return Job{ID: id, Status: jobapi.Queued} }

// Visible tells whether clients may see the job: its submission is known.
func (j Job) Visible() bool { return j.Submission != nil }

// Submission is what was asked for, and when.
type Submission struct {
	RequestedAt  time.Time
	ObjectKey    string
	Filename     string
	Format       string
	ContentType  string
	Size         int64
	SHA256       []byte
	TargetFormat string
	// Options are what the client chose, by the API's names, without secrets; nil when that is nothing.
	Options map[string]any
	Tag     string
}

// Result is where the result lies and what it is.
type Result struct {
	ObjectKey   string
	ContentType string
	Size        int64
	SHA256      []byte
	// Pages is 0 for formats without pages.
	Pages int32
}

// Warning is something about the result that the user should know.
type Warning struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Failure is why a job failed.
type Failure struct {
	Code      string
	Detail    string
	Retryable bool
}
