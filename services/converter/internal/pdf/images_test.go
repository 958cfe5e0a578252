package pdf_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/pdf"
	"github.com/docmill/docmill/services/converter/internal/pdf/pdftest"
)

func generous() engine.Limits {
	return engine.Limits{Timeout: time.Minute, Memory: 1 << 30, Disk: 1 << 30}
}

func setupRenderer(t *testing.T, limits engine.Limits, to string, boxes ...string) (*pdf.Renderer, pdf.RenderRequest) {
	t.Helper()
	renderer := pdf.NewRenderer(findTools(t), limits, pdf.ImageConfig{Pixels: 10_000_000})
	pptx, _ := format.ByID("pptx")
	target, found := pptx.Target(to)
	require.True(t, found, to)
	path := filepath.Join(t.TempDir(), "result.pdf")
	require.NoError(t, os.WriteFile(path, pdftest.Pages(boxes...), 0o600))
	return renderer, pdf.RenderRequest{Directory: t.TempDir(), PDF: path, Pages: len(boxes), Target: target}
}

// size returns the size of an image that is white above and black below.
func size(t *testing.T, content []byte) image.Point {
	t.Helper()
	decoded, _, err := image.Decode(bytes.NewReader(content))
	require.NoError(t, err)
	bounds := decoded.Bounds()
	above, _, _, _ := decoded.At(bounds.Dx()/2, bounds.Dy()/4).RGBA()
	below, _, _, _ := decoded.At(bounds.Dx()/2, bounds.Dy()*3/4).RGBA()
	require.Greater(t, above, below)
	return bounds.Size()
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return content
}

func TestImageSizes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		to      string
		options *conversionv1.Options
		want    image.Point
	}{
		"png":             {"png", nil, image.Pt(960, 540)},
		"jpeg":            {"jpeg", nil, image.Pt(960, 540)},
		"width":           {"png", &conversionv1.Options{Width: new(int32(333))}, image.Pt(333, 187)},
		"dpi":             {"jpeg", &conversionv1.Options{Dpi: new(int32(36))}, image.Pt(360, 203)},
		"thumbnail":       {"thumbnail", nil, image.Pt(400, 225)},
		"very large":      {"png", &conversionv1.Options{Width: new(int32(4000))}, image.Pt(4000, 2250)},
		"small thumbnail": {"thumbnail", &conversionv1.Options{Width: new(int32(16))}, image.Pt(16, 9)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			renderer, request := setupRenderer(t, generous(), c.to, "720 405")
			request.Options = c.options
			output, is, err := renderer.Render(t.Context(), request)
			require.NoError(t, err)
			require.Equal(t, 1, output.Pages)
			require.Equal(t, request.Target, is)
			require.Equal(t, c.want, size(t, read(t, output.Path)))
		})
	}
}

func TestQuality(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"jpeg", "webp"} {
		var sizes []int
		for _, quality := range []int32{1, 100} {
			renderer, request := setupRenderer(t, generous(), to, "300 300")
			request.Options = &conversionv1.Options{ImageQuality: new(quality)}
			output, _, err := renderer.Render(t.Context(), request)
			require.NoError(t, err)
			sizes = append(sizes, len(read(t, output.Path)))
		}
		require.NotEqual(t, sizes[0], sizes[1])
	}
}

func TestWebP(t *testing.T) {
	t.Parallel()
	renderer, request := setupRenderer(t, generous(), "webp", "72 36")
	output, _, err := renderer.Render(t.Context(), request)
	require.NoError(t, err)
	said, err := exec.Command("webpinfo", output.Path).Output()
	require.NoError(t, err)
	require.Regexp(t, `Width: 96\s+Height: 48\s`, string(said))
	entries, err := os.ReadDir(request.Directory)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestSVG(t *testing.T) {
	t.Parallel()
	renderer, request := setupRenderer(t, generous(), "svg", "100000 5")
	output, is, err := renderer.Render(t.Context(), request)
	require.NoError(t, err, "a vector image has no pixels")
	require.Equal(t, "image/svg+xml", is.MediaType)
	var drawing struct {
		XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
	}
	require.NoError(t, xml.Unmarshal(read(t, output.Path), &drawing))
}

func TestArchive(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"png", "jpeg", "svg"} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			renderer, request := setupRenderer(t, generous(), to, "72 36", "36 72", "9 9")
			var reported []int
			request.Progress = func(percent int) { reported = append(reported, percent) }
			output, is, err := renderer.Render(t.Context(), request)
			require.NoError(t, err)
			require.Equal(t, []int{0, 33, 66}, reported)
			require.Equal(t, 3, output.Pages)
			require.Equal(t, "application/zip", is.MediaType)
			archive, err := zip.OpenReader(output.Path)
			require.NoError(t, err)
			defer archive.Close()
			require.Len(t, archive.File, 3)
			for i, want := range []image.Point{{96, 48}, {48, 96}, {12, 12}} {
				entry := archive.File[i]
				require.Equal(t, fmt.Sprintf("page-00%d.%s", i+1, request.Target.Extension), entry.Name)
				r, err := entry.Open()
				require.NoError(t, err)
				content, err := io.ReadAll(r)
				require.NoError(t, err)
				if to != "svg" {
					require.Equal(t, want, size(t, content))
				}
			}
			entries, err := os.ReadDir(request.Directory)
			require.NoError(t, err)
			require.Len(t, entries, 1, "the images are only in the archive")
		})
	}
}

func TestThumbnailShowsTheFirstPage(t *testing.T) {
	t.Parallel()
	renderer, request := setupRenderer(t, generous(), "thumbnail", "40 10", "10 40")
	output, is, err := renderer.Render(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, "image/png", is.MediaType)
	require.Equal(t, image.Pt(400, 100), size(t, read(t, output.Path)))
}

func TestImageLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limits  func(*engine.Limits)
		to      string
		options *conversionv1.Options
		boxes   []string
		spent   time.Duration
		want    problem.Code
	}{
		"pixels of a page":     {to: "png", boxes: []string{"9 9", "14400 14400"}, want: problem.DocumentTooComplex},
		"a long side":          {to: "thumbnail", boxes: []string{"1 1000"}, want: problem.DocumentTooComplex},
		"pixels by width":      {to: "jpeg", options: &conversionv1.Options{Width: new(int32(3163))}, boxes: []string{"9 9"}, want: problem.DocumentTooComplex},
		"a long side for WebP": {to: "webp", boxes: []string{"14400 1"}, want: problem.DocumentTooComplex},
		"time":                 {to: "png", boxes: []string{"9 9"}, spent: time.Hour, want: problem.ConversionTimeout},
		"time in the middle":   {to: "png", boxes: slices.Repeat([]string{"72 72"}, 500), spent: time.Minute - 100*time.Millisecond, want: problem.ConversionTimeout},
		"disk":                 {to: "png", boxes: slices.Repeat([]string{"72 72"}, 100), limits: func(c *engine.Limits) { c.Disk = 10_000 }, want: problem.DocumentTooComplex},
		"disk for one image":   {to: "webp", boxes: []string{"720 720"}, limits: func(c *engine.Limits) { c.Disk = 10_000 }, want: problem.DocumentTooComplex},
		"not a PDF":            {to: "png", boxes: nil, want: problem.DocumentMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := generous()
			if c.limits != nil {
				c.limits(&limits)
			}
			renderer, request := setupRenderer(t, limits, c.to, c.boxes...)
			request.Options, request.Spent, request.Pages = c.options, c.spent, max(1, len(c.boxes))
			_, _, err := renderer.Render(t.Context(), request)
			require.Equal(t, c.want, problem.From(err).Code, "%v", err)
		})
	}
}

func TestRenderCanceled(t *testing.T) {
	t.Parallel()
	renderer, request := setupRenderer(t, generous(), "png", slices.Repeat([]string{"72 72"}, 3)...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := renderer.Render(ctx, request)
	require.ErrorIs(t, err, context.Canceled)
}

func TestImageConfigIsValidated(t *testing.T) {
	t.Parallel()
	require.NoError(t, pdf.ImageConfig{Pixels: 1_000_000}.Validate())
	require.ErrorContains(t, pdf.ImageConfig{}.Validate(), "setting picture-pixels")
}

// TestEveryImageTargetIsDrawn checks that no image target is missing from the table of image formats.
func TestEveryImageTargetIsDrawn(t *testing.T) {
	t.Parallel()
	pptx, _ := format.ByID("pptx")
	magic := map[string]string{
		"image/png": "\x89PNG", "image/jpeg": "\xff\xd8\xff", "image/webp": "RIFF", "image/svg+xml": "<?xml",
	}
	drawn := 0
	for target := range pptx.Targets() {
		if target.Kind == format.Written {
			continue
		}
		drawn++
		require.Contains(t, magic, target.MediaType, "add how files of this type begin")
		renderer, request := setupRenderer(t, generous(), target.ID, "72 36")
		output, is, err := renderer.Render(t.Context(), request)
		require.NoError(t, err, target.ID)
		require.Equal(t, target, is)
		require.True(t, strings.HasPrefix(string(read(t, output.Path)), magic[target.MediaType]), target.ID)
	}
	require.Positive(t, drawn)
}

func TestUnknownImageTarget(t *testing.T) {
	t.Parallel()
	renderer, request := setupRenderer(t, generous(), "png", "72 36")
	request.Target.ID = "avif"
	_, _, err := renderer.Render(t.Context(), request)
	require.ErrorIs(t, err, pdf.ErrNoImageFormat)
}
