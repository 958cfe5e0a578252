package stored_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status/internal/stored"
	"github.com/docmill/docmill/services/status/job"
)

func report() *job.Report {
	return &job.Report{
		Engine:       "LibreOffice 7.4.7.2",
		Seconds:      job.Seconds{Queued: new(0.0), Fetch: new(0.003), Load: new(0.062), Export: new(0.25), Store: new(1.5)},
		Fonts:        []job.Font{{Name: "A", ReplacedBy: "B"}, {Name: "C", Found: true}},
		BlockedLinks: []string{"http://example.com/x"}, BlockedLinksTotal: 30, MacrosBlocked: true, HiddenSlidesLeftOut: 2,
	}
}

// first is what the release before the version was introduced wrote, and what must stay readable.
const first = `{
	"engine": "LibreOffice 7.4.7.2", "seconds": {"queued": 0, "fetch": 0.003, "load": 0.062, "export": 0.25, "store": 1.5},
	"fonts": [{"name": "A", "replaced_by": "B", "found": false}, {"name": "C", "found": true}],
	"blocked_links": ["http://example.com/x"], "blocked_links_total": 30,
	"macros_blocked": true, "hidden_slides_left_out": 2
}`

func TestReportWithoutVersionIsRead(t *testing.T) {
	t.Parallel()
	var encoded stored.Report
	require.NoError(t, json.Unmarshal([]byte(first), &encoded))
	read, err := stored.ToReport(&encoded)
	require.NoError(t, err)
	require.Equal(t, report(), read)
}

func TestEncodingIsFixed(t *testing.T) {
	t.Parallel()
	encoded, err := json.Marshal(stored.FromReport(report()))
	require.NoError(t, err)
	require.JSONEq(t, `{"v": 1, `+first[1:], string(encoded))
	encoded, err = json.Marshal(stored.FromWarnings([]job.Warning{{Code: "c", Detail: "d"}}))
	require.NoError(t, err)
	require.JSONEq(t, `[{"code": "c", "detail": "d"}]`, string(encoded))
}

// TestAddedMembers checks the members that were added later and are omitted when they are empty.
func TestAddedMembers(t *testing.T) {
	t.Parallel()
	with := report()
	with.Fonts[0].SameMetrics, with.MissingCharacters, with.MissingCharactersTotal = true, "가", 3
	encoded, err := json.Marshal(stored.FromReport(with))
	require.NoError(t, err)
	require.Contains(t, string(encoded), `"same_metrics":true`)
	require.Contains(t, string(encoded), `"missing_characters":"가","missing_characters_total":3`)
	var decoded stored.Report
	require.NoError(t, json.Unmarshal(encoded, &decoded))
	read, err := stored.ToReport(&decoded)
	require.NoError(t, err)
	require.Equal(t, with, read)
}

func TestEncodingOfRecordsIsFixed(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 1000, time.UTC)
	one, other := uuid.MustParse("00000000-0000-4000-8000-000000000001"), uuid.MustParse("00000000-0000-4000-8000-000000000002")
	records := []job.Record{
		{
			SubmissionID: one,
			Status:       job.Succeeded, Attempt: 2, StartedAt: noon, FinishedAt: noon,
			Result:   &job.Result{ObjectKey: "k", ContentType: "application/pdf", Size: 9, SHA256: []byte{1, 2, 3}, Pages: 8},
			Warnings: []job.Warning{{Code: "c", Detail: "d"}}, Report: report(),
		},
		{
			SubmissionID: other,
			Status:       job.Failed, FinishedAt: noon, Failure: &job.Failure{Code: "c", Detail: "d", Retryable: true},
		},
		{
			Status: job.Queued, Attempt: 1, UpdatedAt: noon,
			Retry: &job.Retry{Failure: job.Failure{Code: "c", Detail: "d", Retryable: true}, NextAttemptAt: noon.Add(time.Minute)},
		},
		{
			SubmissionID: other,
			Submission: &job.Submission{
				RequestedAt: noon, ObjectKey: "k", Filename: "a.docx", Format: "docx", ContentType: "application/x", Size: 7,
				SHA256: []byte{1, 2, 3}, TargetFormat: "pdf", Options: map[string]any{"pages": "1"}, Tag: "t",
				Callback: &job.Callback{URL: "https://example.com/", Events: []string{"job.failed"}},
			},
			Withdrawn: true, Status: job.Running, Attempt: 1, UpdatedAt: noon, Phase: job.Converting, Percent: 40,
		},
	}
	encoded, err := json.Marshal(stored.FromRecords(records))
	require.NoError(t, err)
	require.JSONEq(t, `[
		{"submission_id": "00000000-0000-4000-8000-000000000001", "status": "succeeded", "attempt": 2,
		 "started_at": "2026-03-01T12:00:00.000001Z", "finished_at": "2026-03-01T12:00:00.000001Z",
		 "result": {"object_key": "k", "content_type": "application/pdf", "size": 9, "sha256": "AQID", "pages": 8},
		 "warnings": [{"code": "c", "detail": "d"}], "report": {"v": 1, `+first[1:]+`},
		{"submission_id": "00000000-0000-4000-8000-000000000002", "status": "failed",
		 "finished_at": "2026-03-01T12:00:00.000001Z", "warnings": null,
		 "failure": {"code": "c", "detail": "d", "retryable": true}},
		{"submission_id": "00000000-0000-0000-0000-000000000000", "status": "queued", "attempt": 1,
		 "updated_at": "2026-03-01T12:00:00.000001Z", "warnings": null,
		 "retry": {"updated_at": "2026-03-01T12:00:00.000001Z", "next_attempt_at": "2026-03-01T12:01:00.000001Z",
		   "failure": {"code": "c", "detail": "d", "retryable": true}}},
		{"submission_id": "00000000-0000-4000-8000-000000000002", 
		 "submission": {"requested_at": "2026-03-01T12:00:00.000001Z", "object_key": "k", "filename": "a.docx", "format": "docx",
		   "content_type": "application/x", "size": 7, "sha256": "AQID", "target_format": "pdf", "options": {"pages": "1"},
		   "tag": "t", "callback": {"url": "https://example.com/", "events": ["job.failed"]}},
		 "withdrawn": true, "status": "running", "attempt": 1,
		 "updated_at": "2026-03-01T12:00:00.000001Z", "phase": 2, "percent": 40, "warnings": null}
	]`, string(encoded))
	var decoded []stored.Record
	require.NoError(t, json.Unmarshal(encoded, &decoded))
	read, err := stored.ToRecords(decoded)
	require.NoError(t, err)
	require.Equal(t, records, read)
	_, err = stored.ToRecords([]stored.Record{{Report: &stored.Report{Version: 2}}})
	require.ErrorContains(t, err, "version 2")
}

func TestReportOfNewerVersionIsAnError(t *testing.T) {
	t.Parallel()
	_, err := stored.ToReport(&stored.Report{Version: 2})
	require.ErrorContains(t, err, "version 2")
}

func TestNilStaysNil(t *testing.T) {
	t.Parallel()
	require.Nil(t, stored.FromReport(nil))
	read, err := stored.ToReport(nil)
	require.NoError(t, err)
	require.Nil(t, read)
	require.Nil(t, stored.FromWarnings(nil))
	require.Nil(t, stored.ToWarnings(nil))
}
