package pdf_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/converter/internal/pdf"
	"github.com/docmill/docmill/services/converter/internal/pdf/pdftest"
)

// TestMissingPrograms checks that an incomplete installation does not start.
func TestMissingPrograms(t *testing.T) {
	directory := t.TempDir()
	t.Setenv("PATH", directory)
	for _, program := range []struct{ name, debian string }{
		{"pdfinfo", "poppler-utils"},
		{"pdffonts", "poppler-utils"},
		{"pdftoppm", "poppler-utils"},
		{"pdftocairo", "poppler-utils"},
		{"cwebp", "webp"},
		{"qpdf", "qpdf"},
	} {
		_, err := pdf.FindTools()
		require.ErrorContains(t, err, program.name)
		require.ErrorContains(t, err, "install the package "+program.debian)
		require.NoError(t, os.WriteFile(filepath.Join(directory, program.name), []byte("#!/bin/sh"), 0o700))
	}
	_, err := pdf.FindTools()
	require.NoError(t, err)
}

func TestSelect(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	path := filepath.Join(t.TempDir(), "f.pdf")
	require.NoError(t, os.WriteFile(path, pdftest.Pages("1 1", "2 2", "3 3"), 0o600))
	selected, err := tools.Select(t.Context(), path, []int{1, 3}, generous().Sandbox())
	require.NoError(t, err)
	pages, err := tools.Pages(t.Context(), selected)
	require.NoError(t, err)
	require.Equal(t, 2, pages)
	sizes, err := tools.Sizes(t.Context(), selected, 2)
	require.NoError(t, err)
	require.Equal(t, []pdf.Size{{Width: 1, Height: 1}, {Width: 3, Height: 3}}, sizes)

	require.NoError(t, os.WriteFile(path, []byte("no PDF"), 0o600))
	_, err = tools.Select(t.Context(), path, []int{1}, generous().Sandbox())
	require.ErrorIs(t, err, pdf.ErrNotPDF)
}
