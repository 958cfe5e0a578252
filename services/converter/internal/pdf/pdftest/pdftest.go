// Package pdftest makes PDFs for tests.
package pdftest

import (
	"fmt"
	"slices"
	"strings"
)

// Pages returns a PDF with a page for each size: width and height in points, separated by a space. The lower half of
// each page is black.
func Pages(sizes ...string) []byte {
	var out, kids strings.Builder
	var offsets []int
	object := func(format string, args ...any) {
		offsets = append(offsets, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n"+format+"\nendobj\n", append([]any{len(offsets)}, args...)...)
	}
	out.WriteString("%PDF-1.6\n")
	object("<</Type/Catalog/Pages 2 0 R>>")
	for i := range sizes {
		fmt.Fprintf(&kids, "%d 0 R ", 3+2*i)
	}
	object("<</Type/Pages/Count %d/Kids[%s]>>", len(sizes), kids.String())
	for i, size := range sizes {
		object("<</Type/Page/Parent 2 0 R/Contents %d 0 R/MediaBox[0 0 %s]>>", 4+2*i, size)
		drawing := blackBelow(size)
		object("<</Length %d>>\nstream\n%s\nendstream", len(drawing), drawing)
	}
	table := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, offset := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&out, "trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, table)
	return []byte(out.String())
}

// Alike returns a PDF of n pages of one size.
func Alike(n int, size string) []byte { return Pages(slices.Repeat([]string{size}, n)...) }

func blackBelow(size string) string {
	var width, height float64
	_, _ = fmt.Sscanf(size, "%g %g", &width, &height) // an invalid size makes an empty page
	return fmt.Sprintf("0 0 %g %g re f", width, height/2)
}
