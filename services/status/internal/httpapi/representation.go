package httpapi

import (
	"encoding/hex"
	"path"
	"strings"
	"time"

	"github.com/docmill/docmill/contract/document"
	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/status/internal/fold"
)

// represent makes the public representation of a visible job.
func represent(j fold.Job) jobapi.Job {
	id, submission := j.ID.String(), j.Submission
	public := jobapi.Job{
		ID: id, Status: j.Status, Attempt: j.Attempt,
		CreatedAt: submission.RequestedAt, StartedAt: moment(j.StartedAt), FinishedAt: moment(j.FinishedAt),
		Source: jobapi.Source{
			Filename: submission.Filename, ContentType: submission.ContentType, Size: submission.Size,
			SHA256: hex.EncodeToString(submission.SHA256),
		},
		Target: jobapi.Target{Format: submission.TargetFormat, Options: submission.Options},
		Report: j.Report,
		Tag:    submission.Tag,
		Links:  jobapi.LinksTo(id, j.Status),
	}
	if public.Target.Options == nil {
		public.Target.Options = map[string]any{}
	}
	if name := phaseName(j.Phase); name != "" && j.Status == jobapi.Running {
		public.Progress = &jobapi.Progress{Phase: name, Percent: j.Percent}
	}
	if r := j.Result; r != nil {
		public.Result = &jobapi.Result{
			Filename: resultName(*submission, r.ContentType), ContentType: r.ContentType, Size: r.Size, SHA256: hex.EncodeToString(r.SHA256),
			Pages: r.Pages,
		}
	}
	for _, w := range j.Warnings {
		public.Warnings = append(public.Warnings, jobapi.Warning(w))
	}
	if f := j.Failure; f != nil {
		// Rows of before the remedy had a member of its own repeat one at the end of their detail.
		public.Error = &jobapi.Error{Code: f.Code, Detail: f.Detail, Remedy: problem.Remedy(problem.Code(f.Code)), Retryable: f.Retryable}
	}
	return public
}

// locate says where the result of a succeeded job lies.
func locate(j fold.Job) jobapi.Location {
	return jobapi.Location{
		ObjectKey: j.Result.ObjectKey, Filename: resultName(*j.Submission, j.Result.ContentType), ContentType: j.Result.ContentType,
		Size: j.Result.Size, SHA256: hex.EncodeToString(j.Result.SHA256),
	}
}

// resultName is the source's name with the extension of what the result is. For one that this status is too old to know it is
// the target's identifier, which mostly is the same.
func resultName(s fold.Submission, mediaType string) string {
	name := s.Filename
	if extension := path.Ext(name); isExtension(extension) && extension != name {
		name = strings.TrimSuffix(name, extension)
	}
	if extension, known := document.ResultExtension(mediaType); known {
		return name + "." + extension
	}
	return name + "." + s.TargetFormat
}

// isExtension tells a real extension from the end of a name with a dot in it, such as "Report v1.2" or "St. Gallen".
func isExtension(text string) bool {
	const longest = 5 // with the dot: ".docx", and what is like it
	if document.KnowsExtension(strings.ToLower(strings.TrimPrefix(text, "."))) {
		return true
	}
	if len(text) < 2 || len(text) > longest || text[1] >= '0' && text[1] <= '9' {
		return false
	}
	for _, c := range text[1:] {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func phaseName(p fold.Phase) string {
	switch p {
	case fold.Loading:
		return "loading"
	case fold.Converting:
		return "converting"
	case fold.Storing:
		return "storing"
	default:
		return ""
	}
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
