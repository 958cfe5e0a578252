package conversion_test

import (
	"archive/zip"
	"bytes"
	"context"
	"image/png"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/pdf/pdftest"
)

// printer is an engine that makes a PDF of as many pages, and tells what it was asked for.
func printer(pages int, asked chan<- engine.Request) convertFunc {
	return func(_ context.Context, request engine.Request) (engine.Output, error) {
		asked <- request
		path := filepath.Join(request.Folder, "result.pdf")
		return engine.Output{Path: path, Pages: pages}, os.WriteFile(path, pdftest.Alike(pages, "72 36"), 0o600)
	}
}

// TestPictures asks for pictures of a document of three pages, of which the engine gives as many as it is to.
func TestPictures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		target    *conversionv1.Target
		pages     int
		pageRange string
		mediaType string
	}{
		"several": {&conversionv1.Target{Format: "png"}, 3, "", "application/zip"},
		"one":     {&conversionv1.Target{Format: "jpeg", Options: &conversionv1.Options{Pages: new("2"), ImageQuality: new(int32(10))}}, 1, "2", "image/jpeg"},
		"first":   {&conversionv1.Target{Format: "thumbnail"}, 1, "1", "image/png"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			asked := make(chan engine.Request, 1)
			b.submit([]byte("a document"), func(command *conversionv1.ConvertRequested) { command.Target = c.target })
			consumer := b.start(printer(c.pages, asked))
			expect[*conversionv1.ConversionStarted](b)
			result := expect[*conversionv1.ConversionSucceeded](b).GetResult()
			request := next(t, asked)
			require.Equal(t, "pdf", request.Target.ID)
			require.Equal(t, c.pageRange, request.Options.GetPages())
			require.Nil(t, request.Options.ImageQuality)
			require.EqualValues(t, c.pages, result.GetPages())
			require.Equal(t, c.mediaType, result.GetContentType())
			stored := b.object(b.ResultsBucket, result.GetObjectKey())
			switch path.Ext(result.GetObjectKey()) {
			case ".zip":
				archive, err := zip.NewReader(bytes.NewReader(stored), int64(len(stored)))
				require.NoError(t, err)
				require.Len(t, archive.File, 3)
			case ".png":
				picture, err := png.Decode(bytes.NewReader(stored))
				require.NoError(t, err)
				require.Equal(t, 400, picture.Bounds().Dx())
			default:
				require.Equal(t, ".jpg", path.Ext(result.GetObjectKey()))
			}
			b.settled(consumer)
		})
	}
}

func TestProtection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.submit([]byte("a document"), func(command *conversionv1.ConvertRequested) {
		command.Target.Options = &conversionv1.Options{AllowCopying: new(false)}
	})
	consumer := b.start(printer(2, make(chan engine.Request, 1)))
	expect[*conversionv1.ConversionStarted](b)
	result := expect[*conversionv1.ConversionSucceeded](b).GetResult()
	require.EqualValues(t, 2, result.GetPages())
	require.Equal(t, "application/pdf", result.GetContentType())
	file := filepath.Join(t.TempDir(), "stored.pdf")
	require.NoError(t, os.WriteFile(file, b.object(b.ResultsBucket, result.GetObjectKey()), 0o600))
	said, err := exec.Command("qpdf", "--show-encryption", file).CombinedOutput()
	require.NoError(t, err, string(said))
	require.Contains(t, string(said), "extract for any purpose: not allowed")
	require.Contains(t, string(said), "stream encryption method: AESv3")
	b.settled(consumer)
}

// TestThumbnailBehindAHiddenSlide: LibreOffice has no first page for a deck that begins with a hidden slide.
func TestThumbnailBehindAHiddenSlide(t *testing.T) {
	t.Parallel()
	b := setup(t)
	asked := make(chan engine.Request, 2)
	b.submit([]byte("a document"), func(command *conversionv1.ConvertRequested) { command.Target.Format = "thumbnail" })
	consumer := b.start(func(ctx context.Context, request engine.Request) (engine.Output, error) {
		output, err := printer(2, asked)(ctx, request)
		if request.Options.GetPages() != "" {
			err = problem.New(problem.PagesNotFound, "There is no page 1.")
		}
		return output, err
	})
	expect[*conversionv1.ConversionStarted](b)
	result := expect[*conversionv1.ConversionSucceeded](b).GetResult()
	require.Equal(t, "image/png", result.GetContentType())
	require.EqualValues(t, 1, result.GetPages())
	first := next(t, asked)
	require.NotEqual(t, first.Folder, next(t, asked).Folder)
	b.settled(consumer)
}
