// Package representation turns jobs into the JSON that clients receive, in responses and in webhooks.
package representation

import (
	"encoding/hex"
	"path"
	"strings"
	"time"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/status/job"
)

// Of returns the public representation of a visible job.
func Of(j job.Job) jobapi.Job {
	id, status, submission := j.ID.String(), statusOf(j.Status), j.Submission
	public := jobapi.Job{
		ID: id, Status: status, Attempt: j.Attempt,
		CreatedAt: submission.RequestedAt, StartedAt: optional(j.StartedAt), FinishedAt: optional(j.FinishedAt),
		ExpiresAt: optional(j.ExpiresAt), Generation: j.Generation,
		Source: jobapi.Source{
			Filename: submission.Filename, ContentType: submission.ContentType, Size: submission.Size,
			SHA256: hex.EncodeToString(submission.SHA256),
		},
		Target: jobapi.Target{Format: submission.TargetFormat, Options: submission.Options},
		Report: reportOf(j.Report),
		Tag:    submission.Tag,
		Links:  jobapi.LinksTo(id, status),
	}
	if public.Target.Options == nil {
		public.Target.Options = map[string]any{}
	}
	if phase := phaseName(j.Phase); phase != "" && j.Status == job.Running {
		public.Progress = &jobapi.Progress{Phase: phase, Percent: j.Percent}
	}
	if r := j.Retry; r != nil && j.Status == job.Queued {
		public.LastError = &jobapi.Error{Code: r.Failure.Code, Detail: r.Failure.Detail, Retryable: r.Failure.Retryable}
		public.NextAttemptAt = optional(r.NextAttemptAt)
	}
	if r := j.Result; r != nil {
		public.Result = &jobapi.Result{
			Filename: resultName(*submission, r.ContentType), ContentType: r.ContentType, Size: r.Size,
			SHA256: hex.EncodeToString(r.SHA256), Pages: r.Pages,
		}
	}
	for _, w := range j.Warnings {
		public.Warnings = append(public.Warnings, jobapi.Warning{
			Code: w.Code, Detail: w.Detail, Severity: string(problem.SeverityOf(problem.Code(w.Code))),
		})
	}
	if f := j.Failure; f != nil {
		// Rows that are older than the member remedy have the remedy at the end of their detail.
		public.Error = &jobapi.Error{Code: f.Code, Detail: f.Detail, Remedy: problem.Remedy(problem.Code(f.Code)), Retryable: f.Retryable}
	}
	return public
}

func statusOf(s job.Status) jobapi.Status {
	switch s {
	case job.Queued:
		return jobapi.Queued
	case job.Running:
		return jobapi.Running
	case job.Succeeded:
		return jobapi.Succeeded
	case job.Failed:
		return jobapi.Failed
	case job.Canceled:
		return jobapi.Canceled
	}
	return jobapi.Status(s) // of a newer version; the linter requires a case for every other
}

// reportOf returns the public report; nil for nil. Its lists are never null.
func reportOf(r *job.Report) *jobapi.Report {
	if r == nil {
		return nil
	}
	public := &jobapi.Report{
		Engine: r.Engine,
		Seconds: jobapi.Seconds{
			Queued: r.Seconds.Queued, Fetch: r.Seconds.Fetch, Load: r.Seconds.Load,
			Export: r.Seconds.Export, Store: r.Seconds.Store,
		},
		Fonts:        make([]jobapi.Font, len(r.Fonts)),
		BlockedLinks: r.BlockedLinks, BlockedLinksTotal: r.BlockedLinksTotal,
		MacrosBlocked: r.MacrosBlocked, HiddenSlidesLeftOut: r.HiddenSlidesLeftOut,
		MissingCharacters: r.MissingCharacters, MissingCharactersTotal: r.MissingCharactersTotal,
		Cached: r.Cached,
	}
	for i, f := range r.Fonts {
		public.Fonts[i] = jobapi.Font{Name: f.Name, ReplacedBy: f.ReplacedBy, Found: f.Found, SameMetrics: f.SameMetrics}
	}
	if public.BlockedLinks == nil {
		public.BlockedLinks = []string{}
	}
	return public
}

// Location returns where the result of a succeeded job is stored.
func Location(j job.Job) jobapi.Location {
	return jobapi.Location{
		ObjectKey: j.Result.ObjectKey, Filename: resultName(*j.Submission, j.Result.ContentType),
		ContentType: j.Result.ContentType, Size: j.Result.Size, SHA256: hex.EncodeToString(j.Result.SHA256),
	}
}

// resultName returns the source's name with the extension of the result's type. For a type that only a newer version
// knows it uses the target's identifier, which is the extension in most cases.
func resultName(s job.Submission, mediaType string) string {
	name := s.Filename
	if extension := path.Ext(name); isExtension(extension) && extension != name {
		name = strings.TrimSuffix(name, extension)
	}
	if extension, known := format.ResultExtension(mediaType); known {
		return name + "." + extension
	}
	return name + "." + s.TargetFormat
}

// isExtension distinguishes an extension from the end of a name that contains a dot, such as "Report v1.2" or "St.
// Gallen".
func isExtension(text string) bool {
	const maxLength = 5 // with the dot: ".docx" and the like
	if _, known := format.ByExtension(strings.ToLower(strings.TrimPrefix(text, "."))); known {
		return true
	}
	if len(text) < 2 || len(text) > maxLength || text[1] >= '0' && text[1] <= '9' {
		return false
	}
	for _, c := range text[1:] {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func phaseName(p job.Phase) string {
	switch p {
	case job.Loading:
		return "loading"
	case job.Converting:
		return "converting"
	case job.Storing:
		return "storing"
	default:
		return ""
	}
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
