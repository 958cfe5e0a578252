package render

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

// ownPixels is how large a picture may be that this process makes a PNG of, with 4 bytes a pixel. Poppler always compresses
// as hard as it can, which takes longer than drawing: 215 ms for a page of A4 at 96 dpi, where Go takes 60 for the same size.
const ownPixels = 8 << 20

func (j *job) drawPNG(ctx context.Context, p picture, root, path string) error {
	if p.width*p.height > ownPixels {
		return j.run(ctx, j.pdftoppm, append([]string{"-png"}, j.pixelArguments(p, root)...)...)
	}
	if err := j.run(ctx, j.pdftoppm, j.pixelArguments(p, root)...); err != nil {
		return err
	}
	if err := encodePNG(root+".ppm", path, p); err != nil {
		return err
	}
	return os.Remove(root + ".ppm")
}

// encodePNG makes a PNG of the file that pdftoppm drew a picture into.
func encodePNG(from, to string, p picture) error {
	in, err := os.Open(from)
	if err != nil {
		return errors.Join(errNoPicture, err)
	}
	defer in.Close()
	drawn, err := readPPM(bufio.NewReaderSize(in, 1<<16), p)
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

// readPPM reads a picture whose size is known: three bytes a pixel after a head.
func readPPM(in io.Reader, p picture) (*image.RGBA, error) {
	want := fmt.Sprintf("P6\n%d %d\n255\n", p.width, p.height)
	head := make([]byte, len(want))
	if _, err := io.ReadFull(in, head); err != nil || string(head) != want {
		return nil, fmt.Errorf("pdftoppm's picture begins with %q and not with %q: %w", head, want, errors.Join(errNoPicture, err))
	}
	drawn := image.NewRGBA(image.Rect(0, 0, p.width, p.height))
	row := make([]byte, 3*p.width)
	for y := range p.height {
		if _, err := io.ReadFull(in, row); err != nil {
			return nil, fmt.Errorf("read pdftoppm's picture: %w", errors.Join(errNoPicture, err))
		}
		line := drawn.Pix[y*drawn.Stride:]
		for x := range p.width {
			line[4*x], line[4*x+1], line[4*x+2], line[4*x+3] = row[3*x], row[3*x+1], row[3*x+2], 255
		}
	}
	return drawn, nil
}

// errNoPicture says that a page was not drawn as it was asked for: poppler's programs end with success all the same.
var errNoPicture = errors.New("it is not the picture that was asked for")
