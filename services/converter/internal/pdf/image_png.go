package pdf

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
)

// maxOwnPixels is the size up to which this process encodes a PNG itself, with 4 bytes per pixel. Poppler always
// compresses as much as possible, which takes longer than drawing: 215 ms for an A4 page at 96 dpi, where Go takes 60
// for the same size.
const maxOwnPixels = 8 << 20

func (d *drawing) drawPNG(ctx context.Context, i pageImage, root, path string) error {
	if i.width*i.height > maxOwnPixels {
		return d.run(ctx, d.tools.pdftoppm, append([]string{"-png"}, d.pixelArguments(i, root)...)...)
	}
	if err := d.run(ctx, d.tools.pdftoppm, d.pixelArguments(i, root)...); err != nil {
		return err
	}
	if err := encodePNG(root+".ppm", path, i); err != nil {
		return err
	}
	return os.Remove(root + ".ppm")
}

// encodePNG makes a PNG of the image file that pdftoppm wrote.
func encodePNG(from, to string, i pageImage) error {
	in, err := os.Open(from)
	if err != nil {
		return errors.Join(errNoImage, err)
	}
	defer in.Close()
	drawn, err := readPPM(bufio.NewReaderSize(in, 1<<16), i)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(out, 1<<16)
	return errors.Join(png.Encode(buffered, drawn), buffered.Flush(), out.Close())
}

// readPPM reads an image whose size is known: a header, then three bytes per pixel.
func readPPM(in io.Reader, i pageImage) (*image.RGBA, error) {
	want := fmt.Sprintf("P6\n%d %d\n255\n", i.width, i.height)
	head := make([]byte, len(want))
	if _, err := io.ReadFull(in, head); err != nil || string(head) != want {
		return nil, fmt.Errorf("pdftoppm's image begins with %q, want %q: %w", head, want, errors.Join(errNoImage, err))
	}
	drawn := image.NewRGBA(image.Rect(0, 0, i.width, i.height))
	row := make([]byte, 3*i.width)
	for y := range i.height {
		if _, err := io.ReadFull(in, row); err != nil {
			return nil, fmt.Errorf("read pdftoppm's image: %w", errors.Join(errNoImage, err))
		}
		line := drawn.Pix[y*drawn.Stride:]
		for x := range i.width {
			line[4*x], line[4*x+1], line[4*x+2], line[4*x+3] = row[3*x], row[3*x+1], row[3*x+2], 255
		}
	}
	return drawn, nil
}

// errNoImage means that a page was not drawn as requested: poppler's programs exit with success even then.
var errNoImage = errors.New("not the requested image")
