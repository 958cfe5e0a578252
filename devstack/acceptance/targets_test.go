package acceptance_test

import (
	"archive/zip"
	"bytes"
	"image"
	_ "image/jpeg" // the image formats that are decoded
	_ "image/png"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
)

// result returns the content of the result of a job.
func (b *testBundle) result(t *testing.T, job client.Job) []byte {
	t.Helper()
	var content bytes.Buffer
	require.NoError(t, b.client.Download(b.ctx, job, &content))
	return content.Bytes()
}

// TestTargets checks the format and the file name of results.
func TestTargets(t *testing.T) {
	t.Parallel()
	forBoth(t, testTargets)
}

func testTargets(t *testing.T, on edition) {
	t.Helper()
	b := setup(t, on)
	convert := func(t *testing.T, name string, options map[string]string) (client.Job, []byte) {
		t.Helper()
		job, err := b.submitWith(name, options)
		require.NoError(t, err)
		job = b.succeed(t, job)
		return job, b.result(t, job)
	}
	const deck = "open-xml-sdk__AllSlidesConverterTC.pptx" // five slides
	t.Run("images", func(t *testing.T) {
		t.Parallel()
		job, content := convert(t, deck, map[string]string{"to": "png", "width": "320"})
		require.Equal(t, "open-xml-sdk__AllSlidesConverterTC.zip", job.Result.Filename)
		require.Equal(t, 5, job.Result.Pages)
		archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		require.NoError(t, err)
		require.Len(t, archive.File, 5)
		page, err := archive.Open("page-005.png")
		require.NoError(t, err)
		drawn, kind, err := image.DecodeConfig(page)
		require.NoError(t, err)
		require.Equal(t, 320, drawn.Width)
		require.Equal(t, "png", kind)
	})
	t.Run("one image", func(t *testing.T) {
		t.Parallel()
		job, content := convert(t, deck, map[string]string{"to": "jpeg", "pages": "2", "image_quality": "50"})
		require.Equal(t, "open-xml-sdk__AllSlidesConverterTC.jpg", job.Result.Filename)
		_, kind, err := image.DecodeConfig(bytes.NewReader(content))
		require.NoError(t, err)
		require.Equal(t, "jpeg", kind)
	})
	t.Run("thumbnail", func(t *testing.T) {
		t.Parallel()
		job, content := convert(t, "aspose.slides-for-.net__HiddingSlides.pptx", map[string]string{"to": "thumbnail"})
		require.Equal(t, "aspose.slides-for-.net__HiddingSlides.png", job.Result.Filename)
		drawn, _, err := image.DecodeConfig(bytes.NewReader(content))
		require.NoError(t, err)
		require.Equal(t, 400, drawn.Width)
	})
	t.Run("text", func(t *testing.T) {
		t.Parallel()
		job, content := convert(t, "synth-letter.odt", map[string]string{"to": "txt"})
		require.Equal(t, "synth-letter.txt", job.Result.Filename)
		require.Contains(t, string(content), "Grüße, Привет, 你好")
	})
	t.Run("same format", func(t *testing.T) {
		t.Parallel()
		job, content := convert(t, "synth-table.xlsx", map[string]string{"to": "xlsx"})
		require.Equal(t, "synth-table.xlsx", job.Result.Filename)
		require.True(t, bytes.HasPrefix(content, []byte("PK")))
	})
}
