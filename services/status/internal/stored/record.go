package stored

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/services/status/job"
)

// Record is the encoding of a job.Record.
type Record struct {
	SubmissionID uuid.UUID   `json:"submission_id"`
	Generation   int32       `json:"generation,omitempty"`
	Submission   *Submission `json:"submission,omitempty"`
	Withdrawn    bool        `json:"withdrawn,omitempty"`
	Status       job.Status  `json:"status"`
	Attempt      int32       `json:"attempt,omitempty"`
	UpdatedAt    time.Time   `json:"updated_at,omitzero"`
	Phase        job.Phase   `json:"phase,omitempty"`
	Percent      int32       `json:"percent,omitempty"`
	Retry        *Retry      `json:"retry,omitempty"`
	StartedAt    time.Time   `json:"started_at,omitzero"`
	FinishedAt   time.Time   `json:"finished_at,omitzero"`

	ExpiresAt       time.Time `json:"expires_at,omitzero"`
	SourceExpiresAt time.Time `json:"source_expires_at,omitzero"`

	Result   *Result   `json:"result,omitempty"`
	Warnings []Warning `json:"warnings"`
	Failure  *Failure  `json:"failure,omitempty"`
	Report   *Report   `json:"report,omitempty"`
	Build    []byte    `json:"build,omitempty"`
}

// Submission is the encoding of a job.Submission.
type Submission struct {
	RequestedAt  time.Time      `json:"requested_at"`
	ObjectKey    string         `json:"object_key"`
	Filename     string         `json:"filename"`
	Format       string         `json:"format"`
	ContentType  string         `json:"content_type"`
	Size         int64          `json:"size"`
	SHA256       []byte         `json:"sha256"`
	TargetFormat string         `json:"target_format"`
	Options      map[string]any `json:"options,omitempty"`
	Tag          string         `json:"tag,omitempty"`
	Target       []byte         `json:"target,omitempty"`
	ClaimKey     string         `json:"claim_key,omitempty"`
	// Retention is in nanoseconds.
	Retention time.Duration `json:"retention,omitempty"`
	Callback  *Callback     `json:"callback,omitempty"`

	CacheDigest []byte `json:"cache_digest,omitempty"`
}

// Callback is the encoding of a job.Callback.
type Callback struct {
	URL    string   `json:"url"`
	Events []string `json:"events"`
}

// FromCallback returns the encoding of the callback of a submission; nil if it has none.
func FromCallback(s *job.Submission) *Callback {
	if s == nil {
		return nil
	}
	return (*Callback)(s.Callback)
}

// ToCallback returns the callback that was encoded; nil for nil.
func ToCallback(c *Callback) *job.Callback { return (*job.Callback)(c) }

func fromSubmission(s *job.Submission) *Submission {
	if s == nil {
		return nil
	}
	return &Submission{
		RequestedAt: s.RequestedAt, ObjectKey: s.ObjectKey, Filename: s.Filename, Format: s.Format, ContentType: s.ContentType,
		Size: s.Size, SHA256: s.SHA256, TargetFormat: s.TargetFormat, Options: s.Options, Tag: s.Tag, Target: s.Target, ClaimKey: s.ClaimKey,
		Retention: s.Retention, Callback: FromCallback(s), CacheDigest: s.CacheDigest,
	}
}

func toSubmission(s *Submission) *job.Submission {
	if s == nil {
		return nil
	}
	return &job.Submission{
		RequestedAt: s.RequestedAt, ObjectKey: s.ObjectKey, Filename: s.Filename, Format: s.Format, ContentType: s.ContentType,
		Size: s.Size, SHA256: s.SHA256, TargetFormat: s.TargetFormat, Options: s.Options, Tag: s.Tag, Target: s.Target, ClaimKey: s.ClaimKey,
		Retention: s.Retention, Callback: ToCallback(s.Callback), CacheDigest: s.CacheDigest,
	}
}

// Result is the encoding of a job.Result.
type Result struct {
	ObjectKey   string `json:"object_key"`
	ContentType string `json:"content_type"`
	Size        int64  `json:"size"`
	SHA256      []byte `json:"sha256"`
	Pages       int32  `json:"pages"`
}

// Failure is the encoding of a job.Failure.
type Failure struct {
	Code      string `json:"code"`
	Detail    string `json:"detail"`
	Retryable bool   `json:"retryable"`
}

// Retry is the encoding of a job.Retry.
type Retry struct {
	// UpdatedAt is the time of the event that the retry comes from, and is equal to the UpdatedAt of the record. If they differ, a
	// replica of an earlier version, which does not know this field, has updated the record since, and the retry is obsolete.
	UpdatedAt     time.Time `json:"updated_at"`
	NextAttemptAt time.Time `json:"next_attempt_at"`
	Failure       Failure   `json:"failure"`
}

// FromRetry returns the encoding of the retry of a record; nil if it has none.
func FromRetry(r job.Record) *Retry {
	if r.Retry == nil {
		return nil
	}
	return &Retry{UpdatedAt: r.UpdatedAt, NextAttemptAt: r.Retry.NextAttemptAt, Failure: Failure(r.Retry.Failure)}
}

// ToRetry returns the retry of a record with the given time of update; nil if it has none or if the retry is obsolete.
func ToRetry(r *Retry, updatedAt time.Time) *job.Retry {
	if r == nil || !r.UpdatedAt.Equal(updatedAt) {
		return nil
	}
	return &job.Retry{NextAttemptAt: r.NextAttemptAt, Failure: job.Failure(r.Failure)}
}

// FromRecords returns the encoding of records; nil for nil.
func FromRecords(records []job.Record) []Record {
	return convert(records, func(r job.Record) Record {
		return Record{
			SubmissionID: r.SubmissionID, Generation: r.Generation, Submission: fromSubmission(r.Submission), Withdrawn: r.Withdrawn,
			Status: r.Status, Attempt: r.Attempt, UpdatedAt: r.UpdatedAt, Phase: r.Phase, Percent: r.Percent,
			Retry: FromRetry(r), StartedAt: r.StartedAt, FinishedAt: r.FinishedAt,
			ExpiresAt: r.ExpiresAt, SourceExpiresAt: r.SourceExpiresAt,
			Result: (*Result)(r.Result), Warnings: FromWarnings(r.Warnings), Failure: (*Failure)(r.Failure),
			Report: FromReport(r.Report), Build: r.Build,
		}
	})
}

// ToRecords returns the records that were encoded; nil for nil.
func ToRecords(records []Record) ([]job.Record, error) {
	var errs []error
	decoded := convert(records, func(r Record) job.Record {
		report, err := ToReport(r.Report)
		errs = append(errs, err)
		return job.Record{
			SubmissionID: r.SubmissionID, Generation: r.Generation, Submission: toSubmission(r.Submission), Withdrawn: r.Withdrawn,
			Status: r.Status, Attempt: r.Attempt, UpdatedAt: r.UpdatedAt, Phase: r.Phase, Percent: r.Percent,
			Retry: ToRetry(r.Retry, r.UpdatedAt), StartedAt: r.StartedAt, FinishedAt: r.FinishedAt,
			ExpiresAt: r.ExpiresAt, SourceExpiresAt: r.SourceExpiresAt,
			Result: (*job.Result)(r.Result), Warnings: ToWarnings(r.Warnings), Failure: (*job.Failure)(r.Failure),
			Report: report, Build: r.Build,
		}
	})
	return decoded, errors.Join(errs...)
}
