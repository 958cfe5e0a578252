package pdf

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// Select writes a PDF that has only some pages of the PDF at path, beside it, and returns its path. The pages are
// counted from 1, in the order in which they are wanted. A file that is not a complete PDF is ErrNotPDF.
func (t *Tools) Select(ctx context.Context, path string, pages []int, limits sandbox.Limits) (string, error) {
	numbers := make([]string, len(pages))
	for i, page := range pages {
		numbers[i] = strconv.Itoa(page)
	}
	directory := filepath.Dir(path)
	selected := strings.TrimSuffix(path, filepath.Ext(path)) + "-selected.pdf"
	exit, err := t.qpdf.Run(ctx, sandbox.Command{
		Args:   slices.Concat([]string{path, "--pages", ".", strings.Join(numbers, ","), "--", selected}),
		Dir:    directory,
		Limits: limits,
		Access: sandbox.Tools().Read(path).Write(directory),
	})
	if err != nil {
		return "", fmt.Errorf("select pages: %w", err)
	}
	if err := t.qpdf.Failure(exit, qpdfWarnings); err != nil {
		return "", errors.Join(ErrNotPDF, err)
	}
	return selected, nil
}
