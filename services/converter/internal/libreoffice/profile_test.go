package libreoffice

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
)

func TestWarmUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		expected []format.Family
		want     []string
	}{
		{"nothing is expected", nil, warmUpDocuments},
		{"texts", []format.Family{format.Text}, []string{"text.docx", "text.odt"}},
		{"two families", []format.Family{format.Spreadsheet, format.Presentation}, []string{"deck.pptx", "sheet.xlsx", "table.csv"}},
		{"drawings, which presentations warm up for", []format.Family{format.Drawing}, []string{"deck.pptx"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, Config{Expected: c.expected}.warmUp())
		})
	}
}

// TestUnexpectedFamily converts documents of families that LibreOffice did not warm up for.
func TestUnexpectedFamily(t *testing.T) {
	t.Parallel()
	e := setupOwn(t, func(c *Config) { c.Expected = []format.Family{format.Spreadsheet} })
	for id, file := range map[string]string{
		"xlsx": "synth-table.xlsx", "docx": "synth-three-pages.docx", "ppsx": "synth-deck.ppsx", "vsd": "tika__testVISIO.vsd",
	} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			output, err := e.Convert(t.Context(), requestFor(t, read(t, file), id))
			require.NoError(t, err)
			require.Positive(t, output.Pages)
		})
	}
}
