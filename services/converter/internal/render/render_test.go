package render_test

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
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/pdf/pdftest"
	"github.com/docmill/docmill/services/converter/internal/render"
)

func generous() engine.Config {
	return engine.Config{Timeout: time.Minute, Memory: 1 << 30, Disk: 1 << 30}
}

func setup(t *testing.T, limits engine.Config, to string, boxes ...string) (*render.Renderer, render.Request) {
	t.Helper()
	renderer, err := render.New(limits, render.Config{Pixels: 10_000_000})
	require.NoError(t, err)
	format, _ := format.ByID("pptx")
	target, found := format.Target(to)
	require.True(t, found, to)
	path := filepath.Join(t.TempDir(), "result.pdf")
	require.NoError(t, os.WriteFile(path, pdftest.Pages(boxes...), 0o600))
	return renderer, render.Request{Folder: t.TempDir(), PDF: path, Pages: len(boxes), Target: target}
}

// size is that of a picture that is white above and black below.
func size(t *testing.T, content []byte) image.Point {
	t.Helper()
	picture, _, err := image.Decode(bytes.NewReader(content))
	require.NoError(t, err)
	bounds := picture.Bounds()
	above, _, _, _ := picture.At(bounds.Dx()/2, bounds.Dy()/4).RGBA()
	below, _, _, _ := picture.At(bounds.Dx()/2, bounds.Dy()*3/4).RGBA()
	require.Greater(t, above, below)
	return bounds.Size()
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return content
}

func TestSizes(t *testing.T) {
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
			renderer, request := setup(t, generous(), c.to, "720 405")
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
			renderer, request := setup(t, generous(), to, "300 300")
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
	renderer, request := setup(t, generous(), "webp", "72 36")
	output, _, err := renderer.Render(t.Context(), request)
	require.NoError(t, err)
	said, err := exec.Command("webpinfo", output.Path).Output()
	require.NoError(t, err)
	require.Regexp(t, `Width: 96\s+Height: 48\s`, string(said))
	entries, err := os.ReadDir(request.Folder)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestSVG(t *testing.T) {
	t.Parallel()
	renderer, request := setup(t, generous(), "svg", "100000 5")
	output, is, err := renderer.Render(t.Context(), request)
	require.NoError(t, err, "a drawing has no pixels")
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
			renderer, request := setup(t, generous(), to, "72 36", "36 72", "9 9")
			var told []int
			request.Progress = func(percent int) { told = append(told, percent) }
			output, is, err := renderer.Render(t.Context(), request)
			require.NoError(t, err)
			require.Equal(t, []int{0, 33, 66}, told)
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
			entries, err := os.ReadDir(request.Folder)
			require.NoError(t, err)
			require.Len(t, entries, 1, "the pictures are in the archive only")
		})
	}
}

func TestThumbnailIsOfTheFirstPage(t *testing.T) {
	t.Parallel()
	renderer, request := setup(t, generous(), "thumbnail", "40 10", "10 40")
	output, is, err := renderer.Render(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, "image/png", is.MediaType)
	require.Equal(t, image.Pt(400, 100), size(t, read(t, output.Path)))
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limits  func(*engine.Config)
		to      string
		options *conversionv1.Options
		boxes   []string
		spent   time.Duration
		want    problem.Code
	}{
		"pixels of a page":      {to: "png", boxes: []string{"9 9", "14400 14400"}, want: problem.DocumentTooComplex},
		"a long side":           {to: "thumbnail", boxes: []string{"1 1000"}, want: problem.DocumentTooComplex},
		"pixels by width":       {to: "jpeg", options: &conversionv1.Options{Width: new(int32(3163))}, boxes: []string{"9 9"}, want: problem.DocumentTooComplex},
		"a long side for WebP":  {to: "webp", boxes: []string{"14400 1"}, want: problem.DocumentTooComplex},
		"time":                  {to: "png", boxes: []string{"9 9"}, spent: time.Hour, want: problem.ConversionTimeout},
		"time in the middle":    {to: "png", boxes: slices.Repeat([]string{"72 72"}, 500), spent: time.Minute - 100*time.Millisecond, want: problem.ConversionTimeout},
		"disk":                  {to: "png", boxes: slices.Repeat([]string{"72 72"}, 100), limits: func(c *engine.Config) { c.Disk = 10_000 }, want: problem.DocumentTooComplex},
		"disk for one picture":  {to: "webp", boxes: []string{"720 720"}, limits: func(c *engine.Config) { c.Disk = 10_000 }, want: problem.DocumentTooComplex},
		"a page that is no PDF": {to: "png", boxes: nil, want: problem.DocumentMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := generous()
			if c.limits != nil {
				c.limits(&limits)
			}
			renderer, request := setup(t, limits, c.to, c.boxes...)
			request.Options, request.Spent, request.Pages = c.options, c.spent, max(1, len(c.boxes))
			_, _, err := renderer.Render(t.Context(), request)
			require.Equal(t, c.want, problem.From(err).Code, "%v", err)
		})
	}
}

func TestCanceled(t *testing.T) {
	t.Parallel()
	renderer, request := setup(t, generous(), "png", slices.Repeat([]string{"72 72"}, 3)...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := renderer.Render(ctx, request)
	require.ErrorIs(t, err, context.Canceled)
}

func TestSettings(t *testing.T) {
	t.Parallel()
	require.NoError(t, render.Config{Pixels: 1_000_000}.Validate())
	require.ErrorContains(t, render.Config{}.Validate(), "setting picture-pixels")
}

// TestMissingPrograms: an installation that is not complete does not start.
func TestMissingPrograms(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("PATH", folder)
	for _, program := range []struct{ name, debian string }{
		{"pdfinfo", "poppler-utils"}, {"pdffonts", "poppler-utils"}, {"qpdf", "qpdf"}, {"pdftoppm", "poppler-utils"}, {"pdftocairo", "poppler-utils"}, {"cwebp", "webp"},
	} {
		_, err := render.New(generous(), render.Config{Pixels: 1_000_000})
		require.ErrorContains(t, err, program.name)
		require.ErrorContains(t, err, "install "+program.debian)
		require.NoError(t, os.WriteFile(filepath.Join(folder, program.name), []byte("#!/bin/sh"), 0o700))
	}
	_, err := render.New(generous(), render.Config{Pixels: 1_000_000})
	require.NoError(t, err)
}
