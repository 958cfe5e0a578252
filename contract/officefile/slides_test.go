package officefile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
)

func TestCountSlides(t *testing.T) {
	t.Parallel()

	const (
		shown  = `<p:sld xmlns:p="p"/>`
		hidden = `<?xml version="1.0"?><p:sld xmlns:p="p" show="0"><p:cSld/></p:sld>`
	)
	odp := func(styles ...string) []byte {
		var pages strings.Builder
		for _, s := range styles {
			fmt.Fprintf(&pages, `<draw:page draw:style-name="%s"/>`, s)
		}
		return zipOf(t, part{"mimetype", format.OpenDocument + "presentation"}, part{"content.xml", `<office:document-content ` +
			`xmlns:office="o" xmlns:style="s" xmlns:draw="d" xmlns:presentation="p">` +
			`<style:style style:name="dp1"><style:drawing-page-properties presentation:visibility="hidden"/></style:style>` +
			`<style:style style:name="dp2"><style:drawing-page-properties/></style:style>` +
			`<office:presentation>` + pages.String() + `</office:presentation></office:document-content>`})
	}
	for _, c := range []struct {
		does string
		data []byte
		want SlideCount
	}{
		{"no slides", sample(t, "python-pptx__no-slides.pptx"), SlideCount{}},
		{"one of three hidden", sample(t, "aspose.slides-for-.net__HiddingSlides.pptx"), SlideCount{Total: 3, Hidden: []int{3}}},
		{"an OpenDocument presentation", sample(t, "odftoolkit__Presentation7.odp"), SlideCount{Total: 100}},
		{"all hidden", deck(t, hidden, strings.Replace(hidden, `"0"`, `"false"`, 1)), SlideCount{Total: 2, Hidden: []int{1, 2}}},
		{"one shown", deck(t, hidden, shown), SlideCount{Total: 2, Hidden: []int{1}}},
		{"a slide that says that it is shown", deck(t, strings.Replace(hidden, `"0"`, `"1"`, 1)), SlideCount{Total: 1}},
		{"a slide that cannot be read", deck(t, "<"), SlideCount{Total: 1}},
		{"a slide that inflates to 4 MiB", deck(t, `<p:sld xmlns:p="p" show="0">`+strings.Repeat(" ", 4<<20)), SlideCount{1, []int{1}}},
		{"all hidden in OpenDocument", odp("dp1", "dp1"), SlideCount{Total: 2, Hidden: []int{1, 2}}},
		{"one shown in OpenDocument", odp("dp1", "dp2"), SlideCount{Total: 2, Hidden: []int{1}}},
	} {
		t.Run(c.does, func(t *testing.T) {
			t.Parallel()
			got, err := CountSlides(t.Context(), bytes.NewReader(c.data), int64(len(c.data)))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.Equal(t, c.want.Total-len(c.want.Hidden), got.Visible())
		})
	}

	for does, data := range map[string][]byte{
		"nothing":              nil,
		"a text":               packageOf(t, "docx"),
		"an archive":           zipOf(t, part{"a.txt", "a"}),
		"a binary deck":        sample(t, "aspose.slides-for-.net__Print.ppt"),
		"an encrypted deck":    sample(t, "gembox.presentation.examples__PptxEncryption.pptx"),
		"an OpenDocument text": openDocument(t, format.OpenDocument+"text", plainManifest),
	} {
		t.Run("does not know the slides of "+does, func(t *testing.T) {
			t.Parallel()
			_, err := CountSlides(t.Context(), bytes.NewReader(data), int64(len(data)))
			require.ErrorIs(t, err, errors.ErrUnsupported)
		})
	}

	t.Run("fails for half a deck", func(t *testing.T) {
		t.Parallel()
		data := half(t)
		_, err := CountSlides(t.Context(), bytes.NewReader(data), int64(len(data)))
		require.Error(t, err)
		require.NotErrorIs(t, err, errors.ErrUnsupported)
	})
}
