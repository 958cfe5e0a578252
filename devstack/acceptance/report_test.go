package acceptance_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
)

// TestReportsAreShown checks that the report lists what is missing from a result, and how long each step took.
func TestReportsAreShown(t *testing.T) {
	t.Parallel()
	forBoth(t, testReportsAreShown)
}

func testReportsAreShown(t *testing.T, on edition) {
	t.Helper()
	b := setup(t, on, "DOCMILL_CONVERSION_PAGES=50")

	hidden := b.succeed(t, b.submit(t, "aspose.slides-for-.net__HiddingSlides.pptx"))
	require.Equal(t, 1, hidden.Report.HiddenSlidesLeftOut)
	require.Regexp(t, `^LibreOffice \d+\.`, hidden.Report.Engine)
	for _, step := range []string{"queued", "fetch", "load", "export", "store"} {
		require.Contains(t, hidden.Report.Seconds, step)
	}
	var named []string
	for _, font := range hidden.Report.Fonts {
		named = append(named, font.Name)
	}
	require.Equal(t, []string{"Arial", "Calibri", "Calibri Light"}, named)

	links := b.succeed(t, b.submit(t, "synth-lfi-linked-section.fodt"))
	require.Len(t, links.Report.BlockedLinks, 3)
	require.Equal(t, 3, links.Report.BlockedLinksTotal)
	require.Contains(t, codes(links.Warnings), client.CodeLinksBlocked)

	macros := b.succeed(t, b.submit(t, "gembox.presentation.examples__SampleVba.pptm"))
	require.True(t, macros.Report.MacrosBlocked)
	require.Contains(t, codes(macros.Warnings), client.CodeMacrosBlocked)

	sheet := b.succeed(t, b.submit(t, "open-xml-sdk__FilterByCF.xlsx"))
	require.Len(t, sheet.Warnings, 1)
	require.Equal(t, client.CodeFontReplaced, sheet.Warnings[0].Code)
	require.Equal(t, client.Information, sheet.Warnings[0].Severity)

	boxes, err := b.client.SubmitFile(b.ctx, adlam(t))
	require.NoError(t, err)
	boxes = b.succeed(t, boxes)
	require.Equal(t, "\U0001E900", boxes.Report.MissingCharacters)
	require.Equal(t, 1, boxes.Report.MissingCharactersTotal)
	require.Len(t, boxes.Warnings, 1)
	require.Equal(t, client.CodeGlyphsMissing, boxes.Warnings[0].Code)
	require.Equal(t, client.Warned, boxes.Warnings[0].Severity)

	// 100 slides: polls show its progress, until it fails because it has too many pages.
	long := b.submit(t, "odftoolkit__Presentation7.odp")
	seen := map[int]bool{}
	require.Eventually(t, func() bool {
		var err error
		long, err = b.client.Job(b.ctx, long.ID)
		require.NoError(t, err)
		if long.Progress != nil {
			seen[long.Progress.Percent] = true
		}
		return long.Ended()
	}, patience, 20*time.Millisecond)
	require.NotNil(t, long.Failure)
	require.Greater(t, len(seen), 2, "%v", seen)
	require.Equal(t, client.CodeDocumentTooComplex, long.Failure.Code)
	require.Contains(t, long.Failure.Detail, "100 pages")
	require.Contains(t, long.Report.Seconds, "export")
	require.NotContains(t, long.Report.Seconds, "store")
}

// adlam returns a text with a letter that no font has.
func adlam(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "adlam.txt")
	require.NoError(t, os.WriteFile(path, []byte("Adlam: \U0001E900"), 0o600))
	return path
}

func codes(warnings []client.Warning) []client.Code {
	var all []client.Code
	for _, warning := range warnings {
		all = append(all, warning.Code)
	}
	return all
}
