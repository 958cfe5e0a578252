// Package render makes pictures of a PDF's pages.
//
// Poppler draws them, one process a page, in which a page costs 10 ms more than in one process for all, and no more memory
// and disk than the page itself. The PDF may be a hostile document's work: each process is locked into the folder that it
// works in (see sandbox.Reach).
package render

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/pdf"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// What a picture is like when the client does not say.
const (
	// DefaultDPI makes a slide of 13.33 inches 1,280 pixels wide and a page of A4 794 by 1,123, as browsers show them.
	DefaultDPI = 96
	// DefaultThumbnailWidth is in pixels.
	DefaultThumbnailWidth = 400
	// DefaultQuality is that of JPEG, 1 to 100; LibreOffice has the same for pictures in PDF.
	DefaultQuality = 90
	// DefaultWebPQuality is where WebP looks like JPEG at DefaultQuality.
	DefaultWebPQuality = 80
)

// Config is what operators can set.
type Config struct {
	Pixels int `name:"picture-pixels" default:"50000000" help:"How many pixels a picture of a page may have. Each takes up to 8 bytes of memory while it is drawn."`
}

// Validate refuses a limit in which no page could be drawn.
func (c Config) Validate() error {
	const least = 1_000_000
	if c.Pixels < least {
		return fmt.Errorf("setting picture-pixels: %d is too few for a page; the least is %d", c.Pixels, least)
	}
	return nil
}

// Renderer draws pages. It is safe for concurrent use.
type Renderer struct {
	pixels    int
	limits    sandbox.Limits
	inspector *pdf.Inspector
	// The programs' paths.
	pdftoppm, pdftocairo, cwebp string
}

// New finds the programs on the search path.
func New(limits engine.Config, config Config) (*Renderer, error) {
	inspector, err := pdf.NewInspector()
	if err != nil {
		return nil, err
	}
	r := &Renderer{
		pixels: config.Pixels, inspector: inspector,
		limits: sandbox.Limits{Time: limits.Timeout, Memory: int64(limits.Memory), Disk: int64(limits.Disk)},
	}
	for _, program := range []struct {
		path         *string
		name, debian string
	}{{&r.pdftoppm, "pdftoppm", "poppler-utils"}, {&r.pdftocairo, "pdftocairo", "poppler-utils"}, {&r.cwebp, "cwebp", "webp"}} {
		if *program.path, err = exec.LookPath(program.name); err != nil {
			return nil, fmt.Errorf("%s, which makes pictures of pages, is missing; install %s: %w", program.name, program.debian, err)
		}
	}
	return r, nil
}

// Request is what to draw.
type Request struct {
	// Folder is one that only this request works in. Its owner removes it.
	Folder string
	// PDF is the file to draw, and Pages how many pages it has.
	PDF   string
	Pages int
	// Target is one of pictures.
	Target format.Target
	// Options are what the client chose; nil is nothing. Which of them mean something depends on the target.
	Options *conversionv1.Options
	// Spent is how much of the time that a conversion may take is over.
	Spent time.Duration
	// Progress, when not nil, is told how much is done, in percent.
	Progress func(percent int)
}

// Render draws the pages, and says what the file is that came of it: a picture of the target's kind, or an archive of
// several. A *problem.Error in the error's chain is the document's own fault.
func (r *Renderer) Render(ctx context.Context, request Request) (engine.Output, format.Target, error) {
	j := job{Renderer: r, Request: request, deadline: time.Now().Add(r.limits.Time - request.Spent)}
	if request.Target.Kind == format.Thumbnail {
		j.Pages = 1
	}
	sizes, err := r.inspector.Sizes(ctx, request.PDF, j.Pages)
	if errors.Is(err, pdf.ErrNotPDF) {
		return engine.Output{}, format.Target{}, problem.New(problem.DocumentMalformed, "The document gave pages without a size.").Because(err)
	}
	if err != nil {
		return engine.Output{}, format.Target{}, fmt.Errorf("measure pages: %w", err)
	}
	pictures, err := j.plan(sizes)
	if err != nil {
		return engine.Output{}, format.Target{}, err
	}
	if j.Pages == 1 {
		path, err := j.draw(ctx, pictures[0])
		return engine.Output{Path: path, Pages: 1}, request.Target, err
	}
	path, err := j.archive(ctx, pictures)
	return engine.Output{Path: path, Pages: j.Pages}, format.Archive(), err
}

// job is the work on one request.
type job struct {
	*Renderer
	Request

	deadline time.Time
	// written is how many bytes lie in the folder.
	written int64
}

// picture is a page to draw.
type picture struct{ page, width, height int }

// plan decides how large each picture gets.
func (j *job) plan(sizes []pdf.Size) ([]picture, error) {
	pictures := make([]picture, len(sizes))
	for i, size := range sizes {
		scale := j.scale(size)
		width, height := math.Max(1, math.Round(size.Width*scale)), math.Max(1, math.Round(size.Height*scale))
		if j.Target.ID != "svg" && (width*height > float64(j.pixels) || math.Max(width, height) > maxSide(j.Target.ID)) {
			return nil, problem.New(problem.DocumentTooComplex,
				"The picture of page %d would have %.0f × %.0f pixels, which is too large; choose a smaller width or dpi.", i+1, width, height)
		}
		pictures[i] = picture{page: i + 1, width: int(width), height: int(height)}
	}
	return pictures, nil
}

// scale is how many pixels a point becomes.
func (j *job) scale(size pdf.Size) float64 {
	const pointsPerInch = 72
	switch {
	case j.Options.GetWidth() > 0:
		return float64(j.Options.GetWidth()) / size.Width
	case j.Target.Kind == format.Thumbnail:
		return DefaultThumbnailWidth / size.Width
	case j.Options.GetDpi() > 0:
		return float64(j.Options.GetDpi()) / pointsPerInch
	default:
		return DefaultDPI / float64(pointsPerInch)
	}
}

// maxSide is how many pixels a side of a picture can have, by its format: WebP's limit, and for all others what programs
// that read them cope with.
func maxSide(target string) float64 {
	if target == "webp" {
		return 16383
	}
	return 32767
}

// draw draws a page and gives the path of its picture.
func (j *job) draw(ctx context.Context, p picture) (string, error) {
	root := filepath.Join(j.Folder, fmt.Sprintf("page-%d", p.page))
	path := root + "." + j.Target.Extension
	var err error
	switch j.Target.ID {
	case "svg":
		err = j.run(ctx, j.pdftocairo, "-svg", "-f", itoa(p.page), "-l", itoa(p.page), j.PDF, path)
	case "jpeg":
		quality := "quality=" + itoa(j.quality(DefaultQuality)) + ",optimize=y"
		err = j.run(ctx, j.pdftoppm, append([]string{"-jpeg", "-jpegopt", quality}, j.pixelArguments(p, root)...)...)
	case "webp":
		err = j.run(ctx, j.pdftoppm, j.pixelArguments(p, root)...)
		if err == nil {
			err = j.run(ctx, j.cwebp, "-quiet", "-q", itoa(j.quality(DefaultWebPQuality)), root+".ppm", "-o", path)
			err = errors.Join(err, os.Remove(root+".ppm"))
		}
	default:
		err = j.drawPNG(ctx, p, root, path)
	}
	if _, missing := os.Stat(path); err == nil && missing != nil {
		err = errors.Join(errNoPicture, missing)
	}
	if errors.Is(err, errNoPicture) {
		return "", problem.New(problem.DocumentMalformed, "Page %d could not be drawn.", p.page).Because(err)
	}
	if err != nil {
		return "", fmt.Errorf("draw page %d: %w", p.page, err)
	}
	return path, nil
}

func (j *job) pixelArguments(p picture, root string) []string {
	return []string{
		"-f", itoa(p.page), "-l", itoa(p.page), "-singlefile",
		"-scale-to-x", itoa(p.width), "-scale-to-y", itoa(p.height), j.PDF, root,
	}
}

func (j *job) quality(otherwise int) int {
	if j.Options.GetImageQuality() > 0 {
		return int(j.Options.GetImageQuality())
	}
	return otherwise
}

// run runs a program within what is left of the limits.
func (j *job) run(ctx context.Context, program string, arguments ...string) error {
	limits := j.limits
	limits.Time = time.Until(j.deadline)
	limits.Disk -= j.written
	switch {
	case limits.Time <= 0:
		return engine.Limited(sandbox.ErrTime)
	case limits.Disk <= 0:
		return engine.Limited(sandbox.ErrDisk)
	}
	exit, err := sandbox.Run(ctx, sandbox.Command{
		Path: program, Args: arguments, Env: []string{"LANG=C.UTF-8"}, Dir: j.Folder, Limits: limits,
		Reach: sandbox.Programs().Read(j.PDF).Write(j.Folder),
	})
	if err != nil {
		return engine.Limited(err)
	}
	if exit.Code != 0 {
		return problem.New(problem.DocumentMalformed, "A page of the PDF could not be drawn.").Because(
			fmt.Errorf("%s ended with %d (signal %d): %s", filepath.Base(program), exit.Code, exit.Signal, exit.Output))
	}
	return nil
}
