package job

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// ErrInvalid means that a message breaks the contract of its type. It is permanent: a redelivery will not help.
var ErrInvalid = errors.New("invalid message")

// Read returns the event that a message about a job describes. Every error is an ErrInvalid and names everything that
// is wrong with the message.
func Read(message proto.Message) (Event, error) {
	var r reader
	event := r.read(message)
	if err := errors.Join(r.errs...); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, proto.MessageName(message), err)
	}
	return event, nil
}

// ParseID parses a job's id in its canonical form of 36 characters. Upper-case digits are accepted.
func ParseID(text string) (uuid.UUID, error) {
	const canonical = 36 // uuid.Parse also accepts braces, missing hyphens and URNs
	if len(text) != canonical {
		return uuid.Nil, fmt.Errorf("%q is not a UUID of %d characters", text, canonical)
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil, fmt.Errorf("%q is not a UUID: %w", text, err)
	}
	return id, nil
}

// reader collects the errors in a message.
type reader struct{ errs []error }

func (r *reader) requiref(ok bool, format string, args ...any) {
	if !ok {
		r.errs = append(r.errs, fmt.Errorf(format, args...))
	}
}

func (r *reader) read(message proto.Message) Event {
	switch m := message.(type) {
	case *conversionv1.ConvertRequested:
		return r.submitted(m)
	case *conversionv1.SubmissionWithdrawn:
		r.requiredTime("withdrawn_at", m.GetWithdrawnAt())
		return Withdrawn{ID: r.id(m.GetJobId()), SubmissionID: r.submissionID(m.GetSubmissionId())}
	case *conversionv1.ConversionStarted:
		return AttemptUpdated{
			ID: r.id(m.GetJobId()), SubmissionID: r.submissionID(m.GetSubmissionId()), Generation: m.GetGeneration(), Attempt: r.attempt(m.GetAttempt()),
			At:     r.requiredTime("started_at", m.GetStartedAt()),
			Starts: true, Status: Running,
		}
	case *conversionv1.ConversionProgressed:
		return AttemptUpdated{
			ID: r.id(m.GetJobId()), SubmissionID: r.submissionID(m.GetSubmissionId()), Generation: m.GetGeneration(), Attempt: r.attempt(m.GetAttempt()),
			At:     r.requiredTime("progressed_at", m.GetProgressedAt()),
			Status: Running, Phase: phase(m.GetPhase()), Percent: min(max(m.GetPercent(), 0), 100),
		}
	case *conversionv1.ConversionRetried:
		at := r.requiredTime("retried_at", m.GetRetriedAt())
		return AttemptUpdated{
			ID: r.id(m.GetJobId()), SubmissionID: r.submissionID(m.GetSubmissionId()), Generation: m.GetGeneration(), Attempt: r.attempt(m.GetAttempt()),
			At: at, Status: Queued, Retry: retry(m, at),
		}
	case *conversionv1.ConversionSucceeded:
		return r.succeeded(m)
	case *conversionv1.ConversionFailed:
		return r.failed(m)
	case *conversionv1.ConversionCanceled:
		return Ended{
			ID: r.id(m.GetJobId()), SubmissionID: r.submissionID(m.GetSubmissionId()), Generation: m.GetGeneration(), Status: Canceled,
			Attempt:   max(m.GetAttempt(), 0),
			StartedAt: r.time("started_at", m.GetStartedAt()), FinishedAt: r.requiredTime("finished_at", m.GetFinishedAt()),
		}
	default:
		r.requiref(false, "not a message about a job")
		return nil
	}
}

func (r *reader) submitted(m *conversionv1.ConvertRequested) Event {
	source := m.GetSource()
	r.requiref(source.GetObjectKey() != "", "source.object_key is empty")
	r.requiref(source.GetFilename() != "", "source.filename is empty")
	r.requiref(source.GetSize() > 0, "source.size is %d", source.GetSize())
	r.requiref(len(source.GetSha256()) == sha256.Size, "source.sha256 has %d bytes", len(source.GetSha256()))
	r.requiref(m.GetTarget().GetFormat() != "", "target.format is empty")
	return Submitted{ID: r.id(m.GetJobId()), SubmissionID: r.submissionID(m.GetSubmissionId()), Submission: Submission{
		RequestedAt: r.requiredTime("requested_at", m.GetRequestedAt()),
		ObjectKey:   text(source.GetObjectKey()), Filename: text(source.GetFilename()), Format: text(source.GetFormat()),
		ContentType: text(source.GetContentType()), Size: source.GetSize(), SHA256: source.GetSha256(),
		TargetFormat: text(m.GetTarget().GetFormat()), Options: options(m.GetTarget().GetOptions()), Tag: text(m.GetTag()),
		Target: r.target(m.GetTarget()), ClaimKey: text(m.GetClaimKey()), Retention: r.retention(m.GetRetention()),
		Callback: callback(m.GetCallback()), CacheDigest: r.digest("cache_digest", m.GetCacheDigest()),
	}}
}

// target encodes a target. The encoding keeps what a newer gateway has added.
func (r *reader) target(t *conversionv1.Target) []byte {
	encoded, err := proto.Marshal(t)
	r.requiref(err == nil, "target: %w", err)
	return encoded
}

// retention reads a retention in whole microseconds; 0 if there is none.
func (r *reader) retention(d *durationpb.Duration) time.Duration {
	if d == nil {
		return 0
	}
	err := d.CheckValid()
	r.requiref(err == nil && d.AsDuration() > 0, "retention is %s", d.AsDuration())
	return d.AsDuration().Truncate(time.Microsecond)
}

// callback returns the callback of a submission; nil if it has none.
func callback(m *conversionv1.Callback) *Callback {
	if m.GetUrl() == "" {
		return nil
	}
	c := Callback{URL: text(m.GetUrl())}
	for _, event := range m.GetEvents() {
		c.Events = append(c.Events, text(event))
	}
	return &c
}

func (r *reader) succeeded(m *conversionv1.ConversionSucceeded) Event {
	result := m.GetResult()
	r.requiref(result.GetObjectKey() != "", "result.object_key is empty")
	r.requiref(result.GetSize() > 0, "result.size is %d", result.GetSize())
	r.requiref(len(result.GetSha256()) == sha256.Size, "result.sha256 has %d bytes", len(result.GetSha256()))
	var warnings []Warning
	for _, w := range m.GetWarnings() {
		warnings = append(warnings, Warning{Code: text(w.GetCode()), Detail: text(w.GetDetail())})
	}
	return Ended{
		ID: r.id(m.GetJobId()), SubmissionID: r.submissionID(m.GetSubmissionId()), Generation: m.GetGeneration(), Status: Succeeded,
		Attempt:   r.attempt(m.GetAttempt()),
		StartedAt: r.time("started_at", m.GetStartedAt()), FinishedAt: r.requiredTime("finished_at", m.GetFinishedAt()),
		Result: &Result{
			ObjectKey: text(result.GetObjectKey()), ContentType: text(result.GetContentType()), Size: result.GetSize(),
			SHA256: result.GetSha256(), Pages: max(result.GetPages(), 0),
		},
		Warnings: warnings, Report: report(m.GetReport()), Build: r.digest("build", m.GetBuild()),
	}
}

// digest returns a SHA-256; nil if the field is empty.
func (r *reader) digest(name string, sum []byte) []byte {
	if len(sum) == 0 {
		return nil
	}
	r.requiref(len(sum) == sha256.Size, "%s has %d bytes", name, len(sum))
	return sum
}

func (r *reader) failed(m *conversionv1.ConversionFailed) Event {
	r.requiref(m.GetFailure().GetCode() != "", "failure.code is empty")
	return Ended{
		ID: r.id(m.GetJobId()), SubmissionID: r.submissionID(m.GetSubmissionId()), Generation: m.GetGeneration(), Status: Failed,
		Attempt:   r.attempt(m.GetAttempt()),
		StartedAt: r.time("started_at", m.GetStartedAt()), FinishedAt: r.requiredTime("finished_at", m.GetFinishedAt()),
		Failure: new(failure(m.GetFailure())),
		Report:  report(m.GetReport()),
	}
}

// maxYear is the last year that JSON can express. Times in messages are not later.
const maxYear = 9999

// retry returns the retry that a message describes; nil if the message does not say why the last attempt failed.
func retry(m *conversionv1.ConversionRetried, at time.Time) *Retry {
	if m.GetFailure().GetCode() == "" {
		return nil
	}
	next := at.Add(max(m.GetDelay().AsDuration(), 0)).Truncate(time.Microsecond)
	if next.Year() > maxYear {
		next = at
	}
	return &Retry{Failure: failure(m.GetFailure()), NextAttemptAt: next}
}

func failure(f *conversionv1.Failure) Failure {
	return Failure{Code: text(f.GetCode()), Detail: text(f.GetDetail()), Retryable: f.GetRetryable()}
}

func (r *reader) id(canonical string) ID {
	id, err := ParseID(canonical)
	r.requiref(err == nil, "job_id: %w", err)
	return ID(id)
}

// submissionID reads the id of a submission, which messages of older publishers do not have.
func (r *reader) submissionID(canonical string) uuid.UUID {
	if canonical == "" {
		return uuid.Nil
	}
	id, err := ParseID(canonical)
	r.requiref(err == nil, "submission_id: %w", err)
	return id
}

func (r *reader) attempt(n int32) int32 {
	r.requiref(n >= 1, "attempt is %d", n)
	return n
}

func (r *reader) requiredTime(name string, t *timestamppb.Timestamp) time.Time {
	r.requiref(t != nil, "%s is missing", name)
	return r.time(name, t)
}

// time reads a time that may be missing. It is truncated to the precision that the stores keep: a duplicate must
// compare as equal to what was stored of the first delivery.
func (r *reader) time(name string, t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	err := t.CheckValid()
	r.requiref(err == nil, "%s: %w", name, err)
	return t.AsTime().Truncate(time.Microsecond)
}

func phase(p conversionv1.Phase) Phase {
	if p < conversionv1.Phase_PHASE_LOADING || p > conversionv1.Phase_PHASE_STORING {
		return NoPhase // one that a newer converter knows
	}
	return Phase(p)
}

// text removes the one character that PostgreSQL cannot store, U+0000. Dead-lettering the message instead would leave
// a job without its end because of a stray byte in an error text.
func text(s string) string { return strings.ReplaceAll(s, "\x00", "") }
