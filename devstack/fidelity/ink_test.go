package fidelity

import (
	"image"
	"testing"

	"github.com/stretchr/testify/require"
)

// gray returns a picture of two blocks whose pixels have these shades.
func gray(left, right func(x, y int) uint8) *image.Gray {
	picture := image.NewGray(image.Rect(0, 0, 2*blockSize, blockSize))
	for y := range blockSize {
		for x := range blockSize {
			picture.Pix[picture.PixOffset(x, y)] = left(x, y)
			picture.Pix[picture.PixOffset(blockSize+x, y)] = right(x, y)
		}
	}
	return picture
}

func white(int, int) uint8    { return 255 }
func black(int, int) uint8    { return 0 }
func stripes(x, _ int) uint8  { return uint8(x % 2 * 255) }
func inverted(x, _ int) uint8 { return uint8((x + 1) % 2 * 255) }

func TestBlocksThatAreBlankInBothPicturesDoNotCount(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		a, b   *image.Gray
		sum    float64
		blocks int
	}{
		"blank":         {gray(white, white), gray(white, white), 0, 0},
		"equal":         {gray(white, stripes), gray(white, stripes), 1, 1},
		"one is blank":  {gray(white, black), gray(white, white), 0, 1},
		"both are dark": {gray(black, black), gray(black, black), 2, 2},
		"inverted":      {gray(white, stripes), gray(white, inverted), -1, 1},
	} {
		sum, blocks := similarBlocks(one.a, one.b)
		require.InDelta(t, one.sum, sum, 0.01, name)
		require.Equal(t, one.blocks, blocks, name)
	}
}

func TestPagesOfEqualSizeAreDrawnTogether(t *testing.T) {
	t.Parallel()
	a4, slide := size{595, 842}, size{960, 540}
	require.Equal(t, []Span{{2, 3}, {4, 4}, {5, 5}}, equalRuns([]size{a4, a4, a4, slide, a4}, Span{2, 5}))
	require.Empty(t, equalRuns(nil, Span{1, 0}))
}
