package representation

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status/job"
)

func TestResultName(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"deck.pptx": "deck.pdf", "DECK.PPTX": "DECK.pdf", "Übersicht – 講演.odp": "Übersicht – 講演.pdf", "a.b.docx": "a.b.pdf",
		"notes.log": "notes.pdf", "Sales.NUMBERS": "Sales.pdf", "deck": "deck.pdf", ".pptx": ".pptx.pdf",
		"Report v1.2": "Report v1.2.pdf", "St. Gallen": "St. Gallen.pdf", "dot.": "dot..pdf",
	} {
		require.Equal(t, want, resultName(job.Submission{Filename: source, TargetFormat: "pdf"}, "application/pdf"))
	}
}

// TestResultExtension requires that the name follows the type of the result, not the requested target.
func TestResultExtension(t *testing.T) {
	t.Parallel()
	for mediaType, want := range map[string]string{
		"application/zip": "deck.zip", "image/jpeg": "deck.jpg", "text/plain; charset=utf-8": "deck.txt",
		"application/x-future": "deck.hologram",
	} {
		submission := job.Submission{Filename: "deck.pptx", TargetFormat: "hologram"}
		require.Equal(t, want, resultName(submission, mediaType))
	}
}
