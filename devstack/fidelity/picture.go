package fidelity

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"strconv"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// Column is a PDF in a picture that compares pages.
type Column struct{ Title, Path string }

// Sizes in a picture, in pixels.
const (
	columnWidth = 480
	titleHeight = 28
	gap         = 8
	titleSize   = 18
)

// SideBySide draws the same page of PDFs, with a title above each.
func SideBySide(ctx context.Context, page int, columns ...Column) (image.Image, error) {
	pages := make([]image.Image, len(columns))
	height := 0
	for i, column := range columns {
		var err error
		if pages[i], err = drawPage(ctx, column.Path, page); err != nil {
			return nil, err
		}
		height = max(height, pages[i].Bounds().Dy())
	}
	face, err := titleFace()
	if err != nil {
		return nil, err
	}
	background := image.NewUniform(color.Gray{Y: 0xdd})
	picture := image.NewRGBA(image.Rect(0, 0, gap+len(columns)*(columnWidth+gap), titleHeight+height+gap))
	draw.Draw(picture, picture.Bounds(), background, image.Point{}, draw.Src)
	for i, column := range columns {
		x := gap + i*(columnWidth+gap)
		(&font.Drawer{Dst: picture, Src: image.Black, Face: face, Dot: fixed.P(x, titleHeight-gap)}).DrawString(column.Title)
		at := pages[i].Bounds().Add(image.Pt(x, titleHeight))
		draw.Draw(picture, at, pages[i], image.Point{}, draw.Src)
	}
	return picture, nil
}

func drawPage(ctx context.Context, path string, page int) (image.Image, error) {
	n := strconv.Itoa(page)
	output, err := poppler(ctx, "pdftoppm", "-png", "-f", n, "-l", n, "-scale-to-x", strconv.Itoa(columnWidth), "-scale-to-y", "-1", path)
	if err != nil {
		return nil, err
	}
	picture, err := png.Decode(bytes.NewReader(output))
	if err != nil {
		return nil, fmt.Errorf("read the picture of page %d of %s: %w", page, path, err)
	}
	return picture, nil
}

func titleFace() (font.Face, error) {
	regular, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, fmt.Errorf("read the font of titles: %w", err)
	}
	return opentype.NewFace(regular, &opentype.FaceOptions{Size: titleSize, DPI: pointsPerInch})
}
