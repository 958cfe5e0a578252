package pdf_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/converter/internal/pdf"
	"github.com/docmill/docmill/services/converter/internal/pdf/pdftest"
)

func findTools(t *testing.T) *pdf.Tools {
	t.Helper()
	tools, err := pdf.FindTools()
	require.NoError(t, err)
	return tools
}

func TestPages(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	for name, c := range map[string]struct {
		content []byte
		pages   int
	}{
		"one":         {pdftest.Pages("9 9"), 1},
		"thousand":    {pdftest.Alike(1000, "9 9"), 1000},
		"none":        {pdftest.Pages(), 0},
		"nothing":     {nil, 0},
		"only a head": {[]byte("%PDF-1.7\n"), 0},
		"other":       {[]byte("PK\x03\x04"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "-o f.pdf") // the name is not mistaken for an option
			require.NoError(t, os.WriteFile(path, c.content, 0o600))
			pages, err := tools.Pages(t.Context(), path)
			require.Equal(t, c.pages, pages)
			if c.pages == 0 {
				require.ErrorIs(t, err, pdf.ErrNotPDF)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func TestNoFile(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	_, err := tools.Pages(t.Context(), filepath.Join(t.TempDir(), "missing.pdf"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestInfoCanceled(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	path := filepath.Join(t.TempDir(), "f.pdf")
	require.NoError(t, os.WriteFile(path, pdftest.Pages("9 9"), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := tools.Pages(ctx, path)
	require.ErrorIs(t, err, context.Canceled)
}

func TestPageSizes(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	path := filepath.Join(t.TempDir(), "f.pdf")
	content := pdftest.Pages("20.5 30", "1 7]/Rotate 90/Dummy[", "9 9")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	sizes, err := tools.Sizes(t.Context(), path, 2)
	require.NoError(t, err)
	require.Equal(t, []pdf.Size{{Width: 20.5, Height: 30}, {Width: 7, Height: 1}}, sizes)
	_, err = tools.Sizes(t.Context(), path, 4)
	require.ErrorIs(t, err, pdf.ErrNotPDF)
}
