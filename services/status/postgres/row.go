package postgres

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/services/status/internal/stored"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/postgres/internal/query"
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
	report, err := stored.ToReport(row.Report)
	others, otherErr := stored.ToRecords(row.OtherSubmissions)
	if err := errors.Join(err, otherErr); err != nil {
		return job.Job{}, fmt.Errorf("read the job %s: %w", row.ID, err)
	}
	j := job.Job{
		ID: row.ID, Version: row.Version,
		Record: job.Record{
			SubmissionID: row.SubmissionID.UUID, Generation: row.Generation, Withdrawn: row.Withdrawn, Status: row.Status, Attempt: row.Attempt,
			UpdatedAt: fromNullable(row.MovedAt), Phase: row.Phase, Percent: row.Percent,
			Retry:     stored.ToRetry(row.Retry, fromNullable(row.MovedAt)),
			StartedAt: fromNullable(row.StartedAt), FinishedAt: fromNullable(row.FinishedAt),
			ExpiresAt: fromNullable(row.ExpiresAt), SourceExpiresAt: fromNullable(row.SourceExpiresAt),
			Warnings: stored.ToWarnings(row.Warnings), Report: report, Build: row.Build,
		},
		Others: others,
		Gone:   row.Gone, GoneAt: fromNullable(row.GoneAt), FilesDeleted: row.FilesDeleted, SourceDeleted: row.SourceDeleted,
		Unpublished: row.Unpublished, DueAt: fromNullable(row.DueAt),
	}
	if row.RequestedAt != nil {
		j.Submission = &job.Submission{
			RequestedAt: fromNullable(row.RequestedAt),
			ObjectKey:   row.SourceKey, Filename: row.SourceFilename, Format: row.SourceFormat,
			ContentType: row.SourceContentType, Size: row.SourceSize, SHA256: row.SourceSha256,
			TargetFormat: row.TargetFormat, Options: row.TargetOptions, Tag: row.Tag,
			Target: row.Target, ClaimKey: row.ClaimKey, Retention: time.Duration(row.Retention) * time.Microsecond,
			Callback: stored.ToCallback(row.Callback), CacheDigest: row.CacheDigest,
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
	return j, nil
}

func toRow(j job.Job) query.WriteJobParams {
	row := query.WriteJobParams{
		ID: j.ID, Version: j.Version, Generation: j.Generation, Withdrawn: j.Withdrawn, Status: j.Status, Attempt: j.Attempt,
		MovedAt: toNullable(j.UpdatedAt), Phase: j.Phase, Percent: j.Percent, Retry: stored.FromRetry(j.Record),
		StartedAt: toNullable(j.StartedAt), FinishedAt: toNullable(j.FinishedAt),
		Warnings: stored.FromWarnings(j.Warnings), Report: stored.FromReport(j.Report),
		SubmissionID:     uuid.NullUUID{UUID: j.SubmissionID, Valid: j.SubmissionID != uuid.Nil},
		OtherSubmissions: stored.FromRecords(j.Others),
		ExpiresAt:        toNullable(j.ExpiresAt), SourceExpiresAt: toNullable(j.SourceExpiresAt),
		Gone: j.Gone, GoneAt: toNullable(j.GoneAt), FilesDeleted: j.FilesDeleted, SourceDeleted: j.SourceDeleted,
		Unpublished: j.Unpublished, DueAt: toNullable(j.DueAt),
		Callback: stored.FromCallback(j.Submission), Build: j.Build,
	}
	if s := j.Submission; s != nil {
		row.RequestedAt = toNullable(s.RequestedAt)
		row.SourceKey, row.SourceFilename, row.SourceFormat = s.ObjectKey, s.Filename, s.Format
		row.SourceContentType, row.SourceSize, row.SourceSha256 = s.ContentType, s.Size, s.SHA256
		row.TargetFormat, row.TargetOptions, row.Tag = s.TargetFormat, s.Options, s.Tag
		row.Target, row.ClaimKey, row.Retention = s.Target, s.ClaimKey, s.Retention.Microseconds()
		row.CacheDigest = s.CacheDigest
	}
	if r := j.Result; r != nil {
		row.ResultKey, row.ResultContentType, row.ResultSize = r.ObjectKey, r.ContentType, r.Size
		row.ResultSha256, row.ResultPages = r.SHA256, r.Pages
	}
	if f := j.Failure; f != nil {
		row.FailureCode, row.FailureDetail, row.FailureRetryable = f.Code, f.Detail, f.Retryable
	}
	return row
}

func fromNullable(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func toNullable(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
