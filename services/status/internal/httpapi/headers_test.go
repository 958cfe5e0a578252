package httpapi

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status/internal/fold"
)

func TestReadTags(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		`"3"`: true, `W/"3"`: true, `"1", W/"3"`: true, `"a,b","3"`: true, `*`: true, ` * `: true, `,, "3",`: true,
		``: false, `"4"`: false, `3`: false, `"3`: false, `"33"`: false, `"a,"3"`: false,
	} {
		require.Equal(t, want, readTags([]string{header}).match(`"3"`), header)
	}
	require.True(t, readTags([]string{`"1"`, `"3"`}).match(`"3"`), "a header of two lines")
	require.False(t, readTags(nil).given())
	require.False(t, readTags([]string{"nonsense"}).given())
}

func TestPreferredWait(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]int{
		"wait=10": 10, "Wait=10": 10, "wait = 10": 10, `wait="10"`: 10, "respond-async, wait=10": 10, "wait=10;foo=bar": 10,
		"wait=10, wait=20": 10, "wait=0": 0, "wait=100000": 100000,
		"wait=abc": -1, "wait=-1": -1, "wait": -1, "wait=1.5": -1, "": -1, "waiting=3": -1, "wait=99999999999999999999": -1, "wait=abc, wait=3": -1,
	} {
		wait, asked := preferredWait([]string{header})
		require.Equal(t, want >= 0, asked, header)
		if asked {
			require.Equal(t, time.Duration(want)*time.Second, wait, header)
		}
	}
	wait, asked := preferredWait([]string{"respond-async", "wait=7"})
	require.True(t, asked)
	require.Equal(t, 7*time.Second, wait)
}

func TestResultName(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"deck.pptx": "deck.pdf", "DECK.PPTX": "DECK.pdf", "Übersicht – 講演.odp": "Übersicht – 講演.pdf", "a.b.docx": "a.b.pdf", "notes.log": "notes.pdf",
		"deck": "deck.pdf", ".pptx": ".pptx.pdf", "Report v1.2": "Report v1.2.pdf", "St. Gallen": "St. Gallen.pdf", "dot.": "dot..pdf",
	} {
		require.Equal(t, want, resultName(fold.Submission{Filename: source, TargetFormat: "pdf"}))
	}
}
