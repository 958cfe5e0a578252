package pdf

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// ImageOptions are the options that a Renderer applies.
var ImageOptions = []option.Name{option.Width, option.DPI, option.ImageQuality}

// The properties of an image if the client does not set them.
const (
	// DefaultDPI makes a slide of 13.33 inches 1,280 pixels wide and an A4 page 794 by 1,123, as browsers show them.
	DefaultDPI = 96
	// DefaultThumbnailWidth is in pixels.
	DefaultThumbnailWidth = 400
	// DefaultJPEGQuality is 1 to 100; LibreOffice has the same for images in PDF.
	DefaultJPEGQuality = 90
	// DefaultWebPQuality is where WebP looks like JPEG at DefaultJPEGQuality.
	DefaultWebPQuality = 80
)

// ImageConfig are the settings of a Renderer.
type ImageConfig struct {
	Pixels int `name:"picture-pixels" default:"50000000" help:"Maximum number of pixels of a page image. Each takes up to 8 bytes of memory while it is drawn."`
}

// Validate rejects a limit within which no page can be drawn.
func (c ImageConfig) Validate() error {
	const minPixels = 1_000_000
	if c.Pixels < minPixels {
		return fmt.Errorf("setting picture-pixels: %d is too few for a page; the minimum is %d", c.Pixels, minPixels)
	}
	return nil
}

// Renderer makes images of a PDF's pages. It is safe for concurrent use.
//
// Poppler draws them, in one process per page. A page costs 10 ms more than in one process for all pages, but no more
// memory and disk than the page itself.
type Renderer struct {
	tools  *Tools
	pixels int
	limits sandbox.Limits
}

// NewRenderer returns a Renderer that works within the limits of one conversion.
func NewRenderer(tools *Tools, limits engine.Limits, config ImageConfig) *Renderer {
	return &Renderer{tools: tools, pixels: config.Pixels, limits: limits.Sandbox()}
}

// RenderRequest describes what to draw.
type RenderRequest struct {
	// Directory is used by this request alone. Its owner removes it.
	Directory string
	// PDF is the file to draw, and Pages the number of its pages.
	PDF   string
	Pages int
	// Target is an image target.
	Target format.Target
	// Options are the options that the client set; may be nil. Which of them apply depends on the target.
	Options *conversionv1.Options
	// Spent is the part of the conversion's time limit that is used up.
	Spent time.Duration
	// Progress, if not nil, is called with how much is done, in percent.
	Progress func(percent int)
}

// imageFormat is how the images of a target are made.
type imageFormat struct {
	// vector images have no pixels.
	vector bool
	// maxSide is the largest width and height in pixels.
	maxSide int
	// draw draws a page into the file path. root is path without its extension.
	draw func(d *drawing, ctx context.Context, i pageImage, root, path string) error
}

const (
	// maxSide is what programs that read images can handle.
	maxSide = 32767
	// maxWebPSide is a limit of the format.
	maxWebPSide = 16383
)

// imageFormats has every image target.
var imageFormats = map[string]imageFormat{
	format.TargetPNG:       {maxSide: maxSide, draw: (*drawing).drawPNG},
	format.TargetThumbnail: {maxSide: maxSide, draw: (*drawing).drawPNG},
	format.TargetJPEG:      {maxSide: maxSide, draw: (*drawing).drawJPEG},
	format.TargetWebP:      {maxSide: maxWebPSide, draw: (*drawing).drawWebP},
	format.TargetSVG:       {vector: true, draw: (*drawing).drawSVG},
}

// ErrNoImageFormat means that a target is not an image target.
var ErrNoImageFormat = errors.New("the target is not an image format")

// Render draws the pages. It returns the resulting file and its format: an image of the target's kind, or an archive of
// several. A *problem.Error in the error's chain means that the document caused the failure.
func (r *Renderer) Render(ctx context.Context, request RenderRequest) (engine.Output, format.Target, error) {
	image, known := imageFormats[request.Target.ID]
	if !known {
		return engine.Output{}, format.Target{}, fmt.Errorf("draw pages as %q: %w", request.Target.ID, ErrNoImageFormat)
	}
	d := drawing{Renderer: r, RenderRequest: request, format: image, deadline: time.Now().Add(r.limits.Time - request.Spent)}
	if request.Target.Kind == format.Thumbnail {
		d.Pages = 1
	}
	sizes, err := r.tools.Sizes(ctx, request.PDF, d.Pages)
	if errors.Is(err, ErrNotPDF) {
		return engine.Output{}, format.Target{}, problem.New(problem.DocumentMalformed, "The document has pages without a size.").Because(err)
	}
	if err != nil {
		return engine.Output{}, format.Target{}, fmt.Errorf("measure pages: %w", err)
	}
	images, err := d.plan(sizes)
	if err != nil {
		return engine.Output{}, format.Target{}, err
	}
	if d.Pages == 1 {
		path, err := d.draw(ctx, images[0])
		return engine.Output{Path: path, Pages: 1}, request.Target, err
	}
	path, err := d.archive(ctx, images)
	return engine.Output{Path: path, Pages: d.Pages}, format.Archive(), err
}

// drawing is the work on one request.
type drawing struct {
	*Renderer
	RenderRequest

	format   imageFormat
	deadline time.Time
	// written is the size of the archive so far, in bytes.
	written int64
}

// pageImage is a page to draw, with the size of its image in pixels.
type pageImage struct{ page, width, height int }

// plan computes the size of each image.
func (d *drawing) plan(sizes []Size) ([]pageImage, error) {
	images := make([]pageImage, len(sizes))
	for i, size := range sizes {
		scale := d.scale(size)
		width, height := math.Max(1, math.Round(size.Width*scale)), math.Max(1, math.Round(size.Height*scale))
		tooLarge := width*height > float64(d.pixels) || math.Max(width, height) > float64(d.format.maxSide)
		if tooLarge && !d.format.vector {
			return nil, problem.New(problem.DocumentTooComplex,
				"The image of page %d would have %.0f × %.0f pixels, which is too large; choose a smaller width or dpi.", i+1, width, height)
		}
		images[i] = pageImage{page: i + 1, width: int(width), height: int(height)}
	}
	return images, nil
}

// scale returns how many pixels a point becomes.
func (d *drawing) scale(size Size) float64 {
	const pointsPerInch = 72
	switch {
	case d.Options.GetWidth() > 0:
		return float64(d.Options.GetWidth()) / size.Width
	case d.Target.Kind == format.Thumbnail:
		return DefaultThumbnailWidth / size.Width
	case d.Options.GetDpi() > 0:
		return float64(d.Options.GetDpi()) / pointsPerInch
	default:
		return DefaultDPI / float64(pointsPerInch)
	}
}

// draw draws a page and returns the path of its image.
func (d *drawing) draw(ctx context.Context, i pageImage) (string, error) {
	root := filepath.Join(d.Directory, fmt.Sprintf("page-%d", i.page))
	path := root + "." + d.Target.Extension
	err := d.format.draw(d, ctx, i, root, path)
	if _, missing := os.Stat(path); err == nil && missing != nil {
		err = errors.Join(errNoImage, missing)
	}
	if errors.Is(err, errNoImage) {
		return "", problem.New(problem.DocumentMalformed, "Page %d could not be drawn.", i.page).Because(err)
	}
	if err != nil {
		return "", fmt.Errorf("draw page %d: %w", i.page, err)
	}
	return path, nil
}

func (d *drawing) drawSVG(ctx context.Context, i pageImage, _, path string) error {
	return d.run(ctx, d.tools.pdftocairo, "-svg", "-f", itoa(i.page), "-l", itoa(i.page), d.PDF, path)
}

func (d *drawing) drawJPEG(ctx context.Context, i pageImage, root, _ string) error {
	quality := "quality=" + itoa(d.quality(DefaultJPEGQuality)) + ",optimize=y"
	return d.run(ctx, d.tools.pdftoppm, append([]string{"-jpeg", "-jpegopt", quality}, d.pixelArguments(i, root)...)...)
}

func (d *drawing) drawWebP(ctx context.Context, i pageImage, root, path string) error {
	if err := d.run(ctx, d.tools.pdftoppm, d.pixelArguments(i, root)...); err != nil {
		return err
	}
	err := d.run(ctx, d.tools.cwebp, "-quiet", "-q", itoa(d.quality(DefaultWebPQuality)), root+".ppm", "-o", path)
	return errors.Join(err, os.Remove(root+".ppm"))
}

func (d *drawing) pixelArguments(i pageImage, root string) []string {
	return []string{
		"-f", itoa(i.page), "-l", itoa(i.page), "-singlefile",
		"-scale-to-x", itoa(i.width), "-scale-to-y", itoa(i.height), d.PDF, root,
	}
}

func (d *drawing) quality(otherwise int) int {
	if d.Options.GetImageQuality() > 0 {
		return int(d.Options.GetImageQuality())
	}
	return otherwise
}

// run runs a program within what is left of the limits.
func (d *drawing) run(ctx context.Context, program sandbox.Program, arguments ...string) error {
	limits := d.limits
	limits.Time = time.Until(d.deadline)
	limits.Disk -= d.written
	switch {
	case limits.Time <= 0:
		return engine.LimitExceeded(sandbox.ErrTime)
	case limits.Disk <= 0:
		return engine.LimitExceeded(sandbox.ErrDisk)
	}
	exit, err := program.Run(ctx, sandbox.Command{
		Args: arguments, Dir: d.Directory, Limits: limits, Access: sandbox.Tools().Read(d.PDF).Write(d.Directory),
	})
	if err != nil {
		return engine.LimitExceeded(err)
	}
	if err := program.Failure(exit); err != nil {
		return problem.New(problem.DocumentMalformed, "A page of the PDF could not be drawn.").Because(err)
	}
	return nil
}
