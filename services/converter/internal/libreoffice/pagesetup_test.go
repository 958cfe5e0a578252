package libreoffice

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// pageFacts converts a document to PDF and returns what pdfinfo and pdftotext print about it.
func pageFacts(t *testing.T, e *Engine, file string, options *conversionv1.Options) (info, text string) {
	t.Helper()
	request := requestFor(t, read(t, file), strings.TrimPrefix(filepath.Ext(file), "."))
	request.Options = options
	output, err := e.Convert(t.Context(), request)
	require.NoError(t, err)
	facts, err := exec.Command("pdfinfo", output.Path).Output()
	require.NoError(t, err)
	return strings.Join(strings.Fields(string(facts)), " "), pdfText(t, output.Path)
}

const wide = "synth-wide.xlsx"

// pageSetupCases are the cases of TestPageSetup.
var pageSetupCases = map[string]struct {
	file    string
	options *conversionv1.Options
	want    []string
}{
	"as it is":        {wide, nil, []string{"Pages: 6", "595.304 x 841.89 pts (A4)"}},
	"fit width":       {wide, &conversionv1.Options{FitWidth: new(true)}, []string{"Pages: 1"}},
	"A3":              {"synth-table.xlsx", &conversionv1.Options{Paper: conversionv1.Paper_PAPER_A3}, []string{"841.89 x 1190.55 pts (A3)"}},
	"letter":          {"synth-table.ods", &conversionv1.Options{Paper: conversionv1.Paper_PAPER_LETTER}, []string{"612 x 792 pts (letter)"}},
	"landscape":       {"synth-table.xls", &conversionv1.Options{Orientation: conversionv1.Orientation_ORIENTATION_LANDSCAPE}, []string{"841.89 x 595.304 pts (A4)"}},
	"A5, landscape":   {"synth-table.csv", &conversionv1.Options{Paper: conversionv1.Paper_PAPER_A5, Orientation: conversionv1.Orientation_ORIENTATION_LANDSCAPE}, []string{"595.304 x 419.5"}},
	"with a range":    {wide, &conversionv1.Options{Paper: conversionv1.Paper_PAPER_A5, Pages: new("2")}, []string{"Pages: 1", "419"}},
	"other documents": {"synth-letter.odt", &conversionv1.Options{}, []string{"Pages: 1"}},
}

func TestPageSetup(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for name, c := range pageSetupCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			info, _ := pageFacts(t, e, c.file, c.options)
			for _, want := range c.want {
				require.Contains(t, info, want)
			}
		})
	}
	// A csv has no headers or footers.
	_, text := pageFacts(t, e, "synth-table.csv", nil)
	require.Contains(t, text, "Київ")
	require.NotContains(t, text, "Page 1")
	require.NotContains(t, text, "document")
	require.NotContains(t, text, "Sheet")
}
