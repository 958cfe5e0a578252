package stored_test

import (
	"encoding/json"
	"testing"

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
