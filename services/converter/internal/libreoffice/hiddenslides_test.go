package libreoffice

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/officefile"
	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

func TestRenumber(t *testing.T) {
	t.Parallel()
	deck := slides{SlideCount: officefile.SlideCount{Total: 6, Hidden: []int{1, 4}}, counted: true}
	for pages, want := range map[string]string{
		"1": "2", "2-3": "3,5", "-2,4": "2,3,6", "4-": "6", "5": "", "5-,1": "2", "1-99999": "2,3,5,6",
	} {
		require.Equal(t, want, deck.renumber(pages), pages)
	}
}

func TestSelectNumbers(t *testing.T) {
	t.Parallel()
	for pages, want := range map[string][]int{"1": {1}, "2-": {2, 3, 4}, "4,1": {1, 4}, "-2,2": {1, 2}, "5-": nil} {
		require.Equal(t, want, selectNumbers(pages, 4), pages)
	}
}

// TestHiddenSlides uses a deck of three slides, the last of which is hidden, in every format that has hidden slides.
func TestHiddenSlides(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	deck := read(t, hidden)
	for format, counted := range map[string]bool{"pptx": true, "odp": true, "ppt": false} {
		content := deck
		if format != "pptx" {
			content = convertTo(t, e, deck, "pptx", format)
		}
		for name, c := range map[string]struct {
			options        *conversionv1.Options
			pages, omitted int
			want           problem.Code
		}{
			"all":               {nil, 2, 1, ""},
			"with hidden":       {&conversionv1.Options{HiddenSlides: new(true)}, 3, 0, ""},
			"from the second":   {&conversionv1.Options{Pages: new("2-")}, 1, 1, ""},
			"with hidden, last": {&conversionv1.Options{Pages: new("3-"), HiddenSlides: new(true)}, 1, 0, ""},
			"beyond":            {&conversionv1.Options{Pages: new("3")}, 0, 0, problem.PagesNotFound},
		} {
			t.Run(format+" "+name, func(t *testing.T) {
				t.Parallel()
				request := requestFor(t, content, format)
				request.Options = c.options
				output, err := e.Convert(t.Context(), request)
				if c.want != "" {
					requireCode(t, err, c.want)
					require.ErrorContains(t, err, "has 2 pages, but none of the requested pages 3")
					return
				}
				require.NoError(t, err)
				require.Equal(t, c.pages, output.Pages)
				pages, err := e.pdf.Pages(t.Context(), output.Path)
				require.NoError(t, err)
				require.Equal(t, c.pages, pages)
				if counted {
					require.Equal(t, c.omitted, output.HiddenSlides)
				}
			})
		}
	}
	other := requestTo(t, deck, "pptx", "odp")
	output, err := e.Convert(t.Context(), other)
	require.NoError(t, err)
	require.Zero(t, output.HiddenSlides, "a presentation keeps them")
}

// TestFirstPageBehindAHiddenSlide asks for page 1 of a deck whose first slide is hidden, as a thumbnail does.
func TestFirstPageBehindAHiddenSlide(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	deck := edit(t, read(t, fiveSlides), func(name string, content []byte) []byte {
		if name == "ppt/slides/slide1.xml" {
			return replaceOnce(t, content, "<p:sld ", `<p:sld show="0" `)
		}
		return content
	})
	whole, err := e.Convert(t.Context(), requestFor(t, deck, "pptx"))
	require.NoError(t, err)
	require.Equal(t, 4, whole.Pages)
	require.Equal(t, 1, whole.HiddenSlides)
	for _, format := range []string{"pptx", "odp", "ppt"} {
		content := deck
		if format != "pptx" {
			content = convertTo(t, e, deck, "pptx", format)
		}
		request := requestFor(t, content, format)
		request.Options = &conversionv1.Options{Pages: new("1")}
		output, err := e.Convert(t.Context(), request)
		require.NoError(t, err, format)
		require.Equal(t, 1, output.Pages)
		all := requestFor(t, content, format)
		every, err := e.Convert(t.Context(), all)
		require.NoError(t, err)
		require.Less(t, difference(t, draw(t, output.Path), draw(t, every.Path)[:1]), 0.001, "it is the first page of the PDF")
	}
}

// TestAllSlidesHidden checks that a result that would be empty is refused, and no other.
func TestAllSlidesHidden(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	deck := read(t, "synth-all-hidden.pptx")
	_, err := e.Convert(t.Context(), requestFor(t, deck, "pptx"))
	requireCode(t, err, problem.DocumentEmpty)

	request := requestFor(t, deck, "pptx")
	request.Options = &conversionv1.Options{HiddenSlides: new(true)}
	output, err := e.Convert(t.Context(), request)
	require.NoError(t, err)
	require.Positive(t, output.Pages)

	output, err = e.Convert(t.Context(), requestTo(t, deck, "pptx", "odp"))
	require.NoError(t, err)
	info, err := os.Stat(output.Path)
	require.NoError(t, err)
	require.Positive(t, info.Size())
}
