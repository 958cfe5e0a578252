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
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/pdf/pdftest"
)

// printer is an engine that writes a PDF of as many pages, and sends its requests to asked.
func printer(pages int, asked chan<- engine.Request) convertFunc {
	return func(_ context.Context, request engine.Request) (engine.Output, error) {
		asked <- request
		path := filepath.Join(request.Directory, "result.pdf")
		return engine.Output{Path: path, Pages: pages}, os.WriteFile(path, pdftest.Alike(pages, "72 36"), 0o600)
	}
}

// TestImages requests images of a document.
func TestImages(t *testing.T) {
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

func TestEncryption(t *testing.T) {
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
	output, err := exec.Command("qpdf", "--show-encryption", file).CombinedOutput()
	require.NoError(t, err, string(output))
	require.Contains(t, string(output), "extract for any purpose: not allowed")
	require.Contains(t, string(output), "stream encryption method: AESv3")
	b.settled(consumer)
}

// TestHeightsOfFonts: the PDF has the heights that LibreOffice 7.4 leaves out, unless the client wants LibreOffice's own.
func TestHeightsOfFonts(t *testing.T) {
	t.Parallel()
	for _, layout := range []conversionv1.Layout{conversionv1.Layout_LAYOUT_UNSPECIFIED, conversionv1.Layout_LAYOUT_LIBREOFFICE} {
		b := setup(t)
		b.submit([]byte("a document"), func(command *conversionv1.ConvertRequested) {
			command.Target.Options = &conversionv1.Options{Layout: layout}
		})
		consumer := b.start(func(_ context.Context, request engine.Request) (engine.Output, error) {
			path := filepath.Join(request.Directory, "result.pdf")
			content, err := os.ReadFile("../pdf/testdata/libreoffice-7.4.pdf")
			require.NoError(t, err)
			return engine.Output{Path: path, Pages: 2}, os.WriteFile(path, content, 0o600)
		})
		expect[*conversionv1.ConversionStarted](b)
		result := expect[*conversionv1.ConversionSucceeded](b).GetResult()
		stored := string(b.object(b.ResultsBucket, result.GetObjectKey()))
		if layout == conversionv1.Layout_LAYOUT_LIBREOFFICE {
			require.Equal(t, 1, strings.Count(stored, "/Ascent 0\n/Descent 0\n"))
		} else {
			require.Equal(t, 1, strings.Count(stored, "/Ascent 832/Descent -300")) // Liberation Mono
		}
		b.settled(consumer)
	}
}
