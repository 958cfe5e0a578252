package pdf_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/converter/internal/pdf"
)

// pagesOf makes a PDF of empty pages.
func pagesOf(n int) string {
	var out strings.Builder
	var offsets []int
	object := func(format string, args ...any) {
		offsets = append(offsets, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n"+format+"\nendobj\n", append([]any{len(offsets)}, args...)...)
	}
	out.WriteString("%PDF-1.6\n")
	object("<</Type/Catalog/Pages 2 0 R>>")
	var kids strings.Builder
	for i := range n {
		fmt.Fprintf(&kids, "%d 0 R ", 3+i)
	}
	object("<</Type/Pages/Count %d/Kids[%s]>>", n, kids.String())
	for range n {
		object("<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>")
	}
	table := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, offset := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&out, "trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, table)
	return out.String()
}

func TestPages(t *testing.T) {
	t.Parallel()
	inspector, err := pdf.NewInspector()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		content string
		pages   int
	}{
		"one":         {pagesOf(1), 1},
		"thousand":    {pagesOf(1000), 1000},
		"none":        {pagesOf(0), 0},
		"nothing":     {"", 0},
		"only a head": {"%PDF-1.7\n", 0},
		"other":       {"PK\x03\x04", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "-o f.pdf") // a name that is no option
			require.NoError(t, os.WriteFile(path, []byte(c.content), 0o600))
			pages, err := inspector.Pages(t.Context(), path)
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
	inspector, err := pdf.NewInspector()
	require.NoError(t, err)
	_, err = inspector.Pages(t.Context(), filepath.Join(t.TempDir(), "missing.pdf"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestCanceled(t *testing.T) {
	t.Parallel()
	inspector, err := pdf.NewInspector()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "f.pdf")
	require.NoError(t, os.WriteFile(path, []byte(pagesOf(1)), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = inspector.Pages(ctx, path)
	require.ErrorIs(t, err, context.Canceled)
}
