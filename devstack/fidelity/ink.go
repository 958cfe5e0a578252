package fidelity

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"math"
	"strconv"
)

const (
	// dotsPerInch is the resolution at which pages are compared: low, so that the shapes of letters count less than their places.
	dotsPerInch, pointsPerInch = 60, 72
	// blockSize is the width and height of the blocks that are compared, in pixels.
	blockSize = 8
)

// compareInk returns the mean structural similarity of the blocks that are not blank in both PDFs. A page that only one of
// them has reduces it by its share of the pages.
func compareInk(ctx context.Context, reference, output pdf, span Span) (float64, error) {
	last := min(span.Last, max(len(reference.sizes), len(output.sizes)))
	both := Span{span.First, min(last, len(reference.sizes), len(output.sizes))}
	var similarity float64
	var blocks int
	for _, run := range equalRuns(reference.sizes, both) {
		at := pixelsOf(reference.sizes[run.First-1])
		want, err := drawGray(ctx, reference.path, run, at)
		if err != nil {
			return 0, err
		}
		have, err := drawGray(ctx, output.path, run, at)
		if err != nil {
			return 0, err
		}
		for i := range want {
			sum, n := similarBlocks(want[i], have[i])
			similarity, blocks = similarity+sum, blocks+n
		}
	}
	share := 1.0
	if blocks > 0 {
		share = similarity / float64(blocks)
	}
	all := max(0, last-span.First+1)
	if all == 0 {
		return 0, nil
	}
	return share * float64(max(0, both.Last-both.First+1)) / float64(all), nil
}

// equalRuns divides pages into runs of equal size, so that one process draws many pages.
func equalRuns(sizes []size, pages Span) []Span {
	var runs []Span
	for n := pages.First; n <= pages.Last; n++ {
		if last := len(runs) - 1; last >= 0 && sizes[n-1] == sizes[n-2] {
			runs[last].Last = n
		} else {
			runs = append(runs, Span{n, n})
		}
	}
	return runs
}

// pixelsOf returns the size of a page's picture. Both PDFs are drawn in the size of the reference.
func pixelsOf(page size) image.Point {
	pixels := func(points float64) int {
		return max(blockSize, int(math.RoundToEven(points*dotsPerInch/pointsPerInch)))
	}
	return image.Pt(pixels(page.width), pixels(page.height))
}

// drawGray returns pictures of pages in shades of gray.
func drawGray(ctx context.Context, path string, pages Span, at image.Point) ([]*image.Gray, error) {
	output, err := poppler(ctx, "pdftoppm", "-gray", "-png", "-f", strconv.Itoa(pages.First), "-l", strconv.Itoa(pages.Last),
		"-scale-to-x", strconv.Itoa(at.X), "-scale-to-y", strconv.Itoa(at.Y), path)
	if err != nil {
		return nil, err
	}
	// The pictures follow each other.
	from := bytes.NewReader(output)
	var pictures []*image.Gray
	for n := pages.First; n <= pages.Last; n++ {
		decoded, err := png.Decode(from)
		if err != nil {
			return nil, fmt.Errorf("read the picture of page %d of %s: %w", n, path, err)
		}
		if decoded.Bounds().Size() != at {
			return nil, fmt.Errorf("page %d of %s was drawn with %v pixels instead of %v", n, path, decoded.Bounds().Size(), at)
		}
		picture := image.NewGray(image.Rectangle{Max: at}) // Poppler writes even shades of gray in three channels
		draw.Draw(picture, picture.Bounds(), decoded, decoded.Bounds().Min, draw.Src)
		pictures = append(pictures, picture)
	}
	return pictures, nil
}

// similarBlocks returns the sum of the similarities of the blocks that are not blank in both pictures, and their number.
func similarBlocks(a, b *image.Gray) (sum float64, blocks int) {
	for y := 0; y+blockSize <= a.Rect.Dy(); y += blockSize {
		for x := 0; x+blockSize <= a.Rect.Dx(); x += blockSize {
			at := image.Rect(x, y, x+blockSize, y+blockSize)
			if blank(a, at) && blank(b, at) {
				continue
			}
			sum += similarity(a, b, at)
			blocks++
		}
	}
	return sum, blocks
}

// blank reports whether all pixels of a block are the same shade of almost white.
func blank(picture *image.Gray, at image.Rectangle) bool {
	const almostWhite = 250
	first := picture.GrayAt(at.Min.X, at.Min.Y).Y
	for y := at.Min.Y; y < at.Max.Y; y++ {
		for _, pixel := range picture.Pix[picture.PixOffset(at.Min.X, y):picture.PixOffset(at.Max.X, y)] {
			if pixel != first {
				return false
			}
		}
	}
	return first >= almostWhite
}

// similarity returns the structural similarity of a block in two pictures (SSIM; Wang et al., "Image quality assessment:
// from error visibility to structural similarity", 2004), with the usual constants: 1 if they are equal.
func similarity(a, b *image.Gray, at image.Rectangle) float64 {
	const (
		n  = blockSize * blockSize
		c1 = (0.01 * 255) * (0.01 * 255)
		c2 = (0.03 * 255) * (0.03 * 255)
	)
	var sumA, sumB, squareA, squareB, product int
	for y := at.Min.Y; y < at.Max.Y; y++ {
		rowA, rowB := a.Pix[a.PixOffset(at.Min.X, y):], b.Pix[b.PixOffset(at.Min.X, y):]
		for x := range blockSize {
			p, q := int(rowA[x]), int(rowB[x])
			sumA, sumB = sumA+p, sumB+q
			squareA, squareB, product = squareA+p*p, squareB+q*q, product+p*q
		}
	}
	meanA, meanB := float64(sumA)/n, float64(sumB)/n
	varianceA, varianceB := float64(squareA)/n-meanA*meanA, float64(squareB)/n-meanB*meanB
	covariance := float64(product)/n - meanA*meanB
	return (2*meanA*meanB + c1) * (2*covariance + c2) / ((meanA*meanA + meanB*meanB + c1) * (varianceA + varianceB + c2))
}
