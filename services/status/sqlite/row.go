package sqlite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/docmill/docmill/services/status/internal/stored"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/sqlite/internal/query"
)

func fromRows(rows []query.Job) ([]job.Job, error) {
	jobs := make([]job.Job, len(rows))
	for i, row := range rows {
		var err error
		if jobs[i], err = fromRow(row); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

func fromRow(row query.Job) (job.Job, error) {
	j := job.Job{
		ID: uuid.UUID(row.ID), Version: row.Version,
		Record: job.Record{
			Generation: row.Generation, Withdrawn: row.Withdrawn, Status: row.Status, Attempt: row.Attempt,
			UpdatedAt: fromMicroseconds(row.UpdatedAt), Phase: row.Phase, Percent: row.Percent,
			StartedAt: fromMicroseconds(row.StartedAt), FinishedAt: fromMicroseconds(row.FinishedAt),
			ExpiresAt: fromMicroseconds(row.ExpiresAt), SourceExpiresAt: fromMicroseconds(row.SourceExpiresAt),
			Build: row.Build,
		},
		Gone: row.Gone, GoneAt: fromMicroseconds(row.GoneAt), FilesDeleted: row.FilesDeleted, SourceDeleted: row.SourceDeleted,
		Unpublished: row.Unpublished, DueAt: fromMicroseconds(row.DueAt),
	}
	if row.SubmissionID != nil {
		j.SubmissionID = uuid.UUID(row.SubmissionID)
	}
	if row.RequestedAt != nil {
		j.Submission = &job.Submission{
			RequestedAt: fromMicroseconds(row.RequestedAt),
			ObjectKey:   row.SourceKey, Filename: row.SourceFilename, Format: row.SourceFormat,
			ContentType: row.SourceContentType, Size: row.SourceSize, SHA256: row.SourceSha256,
			TargetFormat: row.TargetFormat, Tag: row.Tag,
			Target: row.Target, ClaimKey: row.ClaimKey, Retention: time.Duration(row.Retention) * time.Microsecond,
			CacheDigest: row.CacheDigest,
		}
	}
	switch row.Status {
	case job.Succeeded:
		j.Result = &job.Result{
			ObjectKey: row.ResultKey, ContentType: row.ResultContentType, Size: row.ResultSize,
			SHA256: row.ResultSha256, Pages: row.ResultPages,
		}
	case job.Failed:
		j.Failure = &job.Failure{Code: row.FailureCode, Detail: row.FailureDetail, Retryable: row.FailureRetryable}
	default:
	}
	if err := decodeInto(&j, row); err != nil {
		return job.Job{}, fmt.Errorf("read the job %s: %w", j.ID, err)
	}
	return j, nil
}

// decodeInto decodes the JSON columns.
func decodeInto(j *job.Job, row query.Job) error {
	var warnings []stored.Warning
	var report *stored.Report
	var retry *stored.Retry
	var others []stored.Record
	err := errors.Join(decode(row.Warnings, &warnings), decode(row.Report, &report), decode(row.Retry, &retry),
		decode(row.OtherSubmissions, &others))
	if j.Submission != nil {
		var callback *stored.Callback
		err = errors.Join(err, decode(row.TargetOptions, &j.Submission.Options), decode(row.Callback, &callback))
		j.Submission.Callback = stored.ToCallback(callback)
	}
	if err != nil {
		return err
	}
	j.Warnings, j.Retry = stored.ToWarnings(warnings), stored.ToRetry(retry, j.UpdatedAt)
	var reportErr, othersErr error
	j.Report, reportErr = stored.ToReport(report)
	j.Others, othersErr = stored.ToRecords(others)
	return errors.Join(reportErr, othersErr)
}

func decode(column *string, into any) error {
	if column == nil {
		return nil
	}
	return json.Unmarshal([]byte(*column), into)
}

// toRow returns the row of a job, without FirstSeenAt. Its error is an ErrRefused.
func toRow(j job.Job) (query.WriteJobParams, error) {
	row := query.WriteJobParams{
		ID: j.ID[:], Version: j.Version, Generation: j.Generation, Withdrawn: j.Withdrawn, Status: j.Status, Attempt: j.Attempt,
		UpdatedAt: toMicroseconds(j.UpdatedAt), Phase: j.Phase, Percent: j.Percent,
		StartedAt: toMicroseconds(j.StartedAt), FinishedAt: toMicroseconds(j.FinishedAt),
		ExpiresAt: toMicroseconds(j.ExpiresAt), SourceExpiresAt: toMicroseconds(j.SourceExpiresAt),
		Gone: j.Gone, GoneAt: toMicroseconds(j.GoneAt), FilesDeleted: j.FilesDeleted, SourceDeleted: j.SourceDeleted,
		Unpublished: j.Unpublished, DueAt: toMicroseconds(j.DueAt), Build: j.Build,
	}
	var e encoder
	if warnings := stored.FromWarnings(j.Warnings); warnings != nil {
		row.Warnings = e.json(warnings)
	}
	if report := stored.FromReport(j.Report); report != nil {
		row.Report = e.json(report)
	}
	if retry := stored.FromRetry(j.Record); retry != nil {
		row.Retry = e.json(retry)
	}
	if j.SubmissionID != uuid.Nil {
		row.SubmissionID = j.SubmissionID[:]
	}
	if others := stored.FromRecords(j.Others); others != nil {
		row.OtherSubmissions = e.json(others)
	}
	if s := j.Submission; s != nil {
		row.RequestedAt = toMicroseconds(s.RequestedAt)
		row.SourceKey, row.SourceFilename, row.SourceFormat = e.text(s.ObjectKey), e.text(s.Filename), e.text(s.Format)
		row.SourceContentType, row.SourceSize, row.SourceSha256 = e.text(s.ContentType), s.Size, s.SHA256
		row.TargetFormat, row.Tag = e.text(s.TargetFormat), e.text(s.Tag)
		row.Target, row.ClaimKey, row.Retention = s.Target, e.text(s.ClaimKey), s.Retention.Microseconds()
		row.CacheDigest = s.CacheDigest
		if s.Options != nil {
			row.TargetOptions = e.json(s.Options)
		}
		if callback := stored.FromCallback(s); callback != nil {
			row.Callback = e.json(callback)
		}
	}
	if r := j.Result; r != nil {
		row.ResultKey, row.ResultContentType, row.ResultSize = e.text(r.ObjectKey), e.text(r.ContentType), r.Size
		row.ResultSha256, row.ResultPages = r.SHA256, r.Pages
	}
	if f := j.Failure; f != nil {
		row.FailureCode, row.FailureDetail, row.FailureRetryable = e.text(f.Code), e.text(f.Detail), f.Retryable
	}
	return row, e.err
}

// encoder encodes columns and keeps the first error. SQLite would store any text. The encoder refuses what PostgreSQL
// cannot store, so that both stores behave the same and jobs can be moved from one to the other.
type encoder struct{ err error }

func (e *encoder) text(text string) string {
	if strings.Contains(text, "\x00") || !utf8.ValidString(text) {
		e.refuse(fmt.Errorf("the text %.100q contains U+0000 or is not UTF-8", text))
	}
	return text
}

func (e *encoder) json(value any) *string {
	encoded, err := json.Marshal(value)
	if err != nil {
		e.refuse(err)
	}
	if containsNUL(encoded) {
		e.refuse(errors.New("a text contains U+0000"))
	}
	text := string(encoded)
	return &text
}

func (e *encoder) refuse(err error) {
	if e.err == nil {
		e.err = fmt.Errorf("%w: %w", jobstore.ErrRefused, err)
	}
}

// containsNUL reports whether a string in a JSON document contains U+0000, which encoding/json writes as \u0000.
func containsNUL(document []byte) bool {
	for i := 0; i < len(document)-1; i++ {
		if document[i] != '\\' {
			continue
		}
		i++ // the escaped character
		if bytes.HasPrefix(document[i:], []byte("u0000")) {
			return true
		}
	}
	return false
}

func fromMicroseconds(t *int64) time.Time {
	if t == nil {
		return time.Time{}
	}
	return time.UnixMicro(*t).UTC()
}

func toMicroseconds(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	microseconds := t.UnixMicro()
	return &microseconds
}
