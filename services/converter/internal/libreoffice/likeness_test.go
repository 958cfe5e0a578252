package libreoffice

import (
	"context"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// TestPagesLookLikeSoffice compares each page with the one that soffice --convert-to produces, at 50 dpi:
// LibreOfficeKit, which is made for editors, draws some things differently by default.
func TestPagesLookLikeSoffice(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	const limit = 0.005 // of the way from black to white, on average over the pages
	documents := map[string]string{
		"sample.pptx": "pptx", fiveSlides: "pptx", "aspose.slides-for-.net__Print.ppt": "ppt", "synth-deck.ppsx": "ppsx",
		letter: "docx", "docling__legacy_sample.doc": "doc", "synth-letter.odt": "odt", "officeimo__SampleFileRTF.rtf": "rtf",
		"synth-table.xlsx": "xlsx", "synth-wide.xlsx": "xlsx", "synth-table.xls": "xls",
	}
	theirs := libreOffices(t, documents)
	for file, format := range documents {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			request := requestFor(t, read(t, file), format)
			request.Options = &conversionv1.Options{Layout: conversionv1.Layout_LAYOUT_LIBREOFFICE}
			output, err := e.Convert(t.Context(), request)
			require.NoError(t, err)
			require.Less(t, difference(t, draw(t, output.Path), draw(t, theirs[file])), limit)
		})
	}
}

// libreOffices converts documents with one soffice, and returns the paths of the PDFs.
func libreOffices(t *testing.T, documents map[string]string) map[string]string {
	t.Helper()
	directory, paths, sources := t.TempDir(), map[string]string{}, []string{}
	for file := range documents {
		source, err := filepath.Abs(testdata + file)
		require.NoError(t, err)
		sources = append(sources, source)
		paths[file] = filepath.Join(directory, file[:len(file)-len(filepath.Ext(file))]+".pdf")
	}
	// Not t.Context(), which ends before the parallel subtests.
	command := exec.CommandContext(context.Background(), "soffice", append([]string{
		"-env:UserInstallation=file://" + t.TempDir(), "--headless", "--convert-to", "pdf", "--outdir", directory,
	}, sources...)...)
	common, err := shared()
	require.NoError(t, err)
	command.Env = append([]string{"HOME=" + directory, "PATH=/usr/bin:/bin", "LANG=C.UTF-8"}, common.fonts...)
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
	return paths
}

// draw returns a gray image of each page.
func draw(t *testing.T, pdf string) []image.Image {
	t.Helper()
	directory := t.TempDir()
	output, err := exec.Command("pdftoppm", "-r", "50", "-gray", "-png", pdf, filepath.Join(directory, "page")).CombinedOutput()
	require.NoError(t, err, string(output))
	entries, err := os.ReadDir(directory)
	require.NoError(t, err)
	var pages []image.Image
	for _, entry := range entries {
		file, err := os.Open(filepath.Join(directory, entry.Name()))
		require.NoError(t, err)
		page, err := png.Decode(file)
		require.NoError(t, err)
		require.NoError(t, file.Close())
		pages = append(pages, page)
	}
	return pages
}

// difference returns the mean difference of all pixels of all pages, from 0 to 1.
func difference(t *testing.T, ours, theirs []image.Image) float64 {
	t.Helper()
	require.Len(t, ours, len(theirs))
	sum, count := 0, 0
	for i := range ours {
		require.Equal(t, theirs[i].Bounds(), ours[i].Bounds())
		for y := range ours[i].Bounds().Dy() {
			for x := range ours[i].Bounds().Dx() {
				a, b := gray(ours[i], x, y), gray(theirs[i], x, y)
				sum += max(a, b) - min(a, b)
				count++
			}
		}
	}
	return float64(sum) / 255 / float64(count)
}

func gray(picture image.Image, x, y int) int {
	value, _ := color.GrayModel.Convert(picture.At(x, y)).(color.Gray)
	return int(value.Y)
}
