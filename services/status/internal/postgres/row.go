package postgres

import (
	"time"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/services/status/internal/fold"
	"github.com/docmill/docmill/services/status/internal/postgres/query"
)

func fromRow(row query.Job) fold.Job {
	j := fold.Job{
		ID: row.ID, Version: row.Version, Status: row.Status, Attempt: row.Attempt,
		MovedAt: instant(row.MovedAt), Phase: row.Phase, Percent: row.Percent,
		StartedAt: instant(row.StartedAt), FinishedAt: instant(row.FinishedAt),
		Warnings: row.Warnings, Report: row.Report,
	}
	if row.RequestedAt != nil {
		j.Submission = &fold.Submission{
			RequestedAt: instant(row.RequestedAt), ObjectKey: row.SourceKey, Filename: row.SourceFilename, Format: row.SourceFormat,
			ContentType: row.SourceContentType, Size: row.SourceSize, SHA256: row.SourceSha256,
			TargetFormat: row.TargetFormat, Options: row.TargetOptions, Tag: row.Tag,
		}
	}
	switch row.Status {
	case jobapi.Succeeded:
		j.Result = &fold.Result{
			ObjectKey: row.ResultKey, ContentType: row.ResultContentType, Size: row.ResultSize,
			SHA256: row.ResultSha256, Pages: row.ResultPages,
		}
	case jobapi.Failed:
		j.Failure = &fold.Failure{Code: row.FailureCode, Detail: row.FailureDetail, Retryable: row.FailureRetryable}
	default:
	}
	return j
}

func toRow(j fold.Job) query.WriteJobParams {
	row := query.WriteJobParams{
		ID: j.ID, Version: j.Version, Status: j.Status, Attempt: j.Attempt,
		MovedAt: nullable(j.MovedAt), Phase: j.Phase, Percent: j.Percent,
		StartedAt: nullable(j.StartedAt), FinishedAt: nullable(j.FinishedAt),
		Warnings: j.Warnings, Report: j.Report,
	}
	if s := j.Submission; s != nil {
		row.RequestedAt = nullable(s.RequestedAt)
		row.SourceKey, row.SourceFilename, row.SourceFormat = s.ObjectKey, s.Filename, s.Format
		row.SourceContentType, row.SourceSize, row.SourceSha256 = s.ContentType, s.Size, s.SHA256
		row.TargetFormat, row.TargetOptions, row.Tag = s.TargetFormat, s.Options, s.Tag
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

func instant(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func nullable(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
