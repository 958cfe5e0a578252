package pdf

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Pages returns the number of pages of a file, at least 1. A file that is not a complete PDF is ErrNotPDF.
func (t *Tools) Pages(ctx context.Context, path string) (int, error) {
	if err := checkHeader(path); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if count, err := withPlain(path, (*plain).pages); err == nil {
		return count, nil
	}
	output, err := inspect(ctx, t.qpdf, path, "--warning-exit-0", "--show-npages")
	if err != nil {
		return 0, err
	}
	count, err := strconv.Atoi(strings.TrimSpace(output))
	if err != nil || count < 1 {
		return 0, fmt.Errorf("%w: qpdf counts no pages: %.1000q", ErrNotPDF, output)
	}
	return count, nil
}

// Size is the size of a page in points, 72 to the inch.
type Size struct{ Width, Height float64 }

// Sizes returns the sizes of the first count pages of a file, as they are displayed: with their rotation applied.
func (t *Tools) Sizes(ctx context.Context, path string, count int) ([]Size, error) {
	output, err := inspect(ctx, t.pdfinfo, path, "-f", "1", "-l", strconv.Itoa(count))
	if err != nil {
		return nil, err
	}
	return parseSizes(output, count)
}

const header = "%PDF-"

func checkHeader(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the PDF: %w", err)
	}
	defer file.Close()
	head, err := bufio.NewReader(file).Peek(len(header))
	if err != nil || string(head) != header {
		return fmt.Errorf("%w: it begins with %q", ErrNotPDF, head)
	}
	return nil
}

// parseSizes reads pairs of lines: "Page    2 size:  793.701 x 595.276 pts (A4)" and "Page    2 rot:   90". Lines that
// look the same in the document's own texts come before them.
func parseSizes(output string, count int) ([]Size, error) {
	all := make([]Size, count)
	for line := range strings.Lines(output) {
		var page, turned int
		var size Size
		if n, _ := fmt.Sscanf(line, "Page %d size: %g x %g pts", &page, &size.Width, &size.Height); n == 3 && page >= 1 && page <= count {
			all[page-1] = size
		} else if n, _ := fmt.Sscanf(line, "Page %d rot: %d", &page, &turned); n == 2 && page >= 1 && page <= count && turned%180 != 0 {
			all[page-1] = Size{all[page-1].Height, all[page-1].Width}
		}
	}
	for i, size := range all {
		if !(size.Width > 0 && size.Height > 0) {
			return nil, fmt.Errorf("%w: pdfinfo prints no size of page %d: %.1000q", ErrNotPDF, i+1, output)
		}
	}
	return all, nil
}
