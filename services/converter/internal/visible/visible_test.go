package visible

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/officefile"
	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

func TestRenumber(t *testing.T) {
	t.Parallel()
	slides := officefile.SlideCount{Total: 6, Hidden: []int{1, 4}}
	for pages, want := range map[string]string{"1": "2", "2-3": "3,5", "-2,4": "2,3,6", "4-": "6", "5": "", "5-,1": "2", "1-99999": "2,3,5,6"} {
		require.Equal(t, want, renumber(pages, slides), pages)
	}
}

// asked is an engine that keeps what it was asked for.
type asked struct{ pages string }

func (a *asked) Convert(_ context.Context, request engine.Request) (engine.Output, error) {
	a.pages = request.Options.GetPages()
	return engine.Output{Pages: 1}, nil
}

// TestOnlyHiddenSlidesAreLeftOut takes a deck of three slides, the last of which is hidden.
func TestOnlyHiddenSlidesAreLeftOut(t *testing.T) {
	t.Parallel()
	const hidden, none = "aspose.slides-for-.net__HiddingSlides.pptx", "open-xml-sdk__AllSlidesConverterTC.pptx"
	convert := func(file string, options *conversionv1.Options) (string, error) {
		path := filepath.Join("..", "..", "..", "..", "testdata", file)
		_, err := os.Stat(path)
		require.NoError(t, err)
		format, _ := format.ByID("pptx")
		target, _ := format.Target("pdf")
		next := &asked{}
		_, err = Engine{Next: next}.Convert(t.Context(), engine.Request{Source: path, Format: format, Target: target, Options: options})
		return next.pages, err
	}
	for _, c := range []struct {
		file    string
		options *conversionv1.Options
		want    string
	}{
		{hidden, &conversionv1.Options{Pages: new("2-")}, "2"},
		{hidden, &conversionv1.Options{Pages: new("2-"), HiddenSlides: new(true)}, "2-"},
		{none, &conversionv1.Options{Pages: new("2-")}, "2-"},
	} {
		pages, err := convert(c.file, c.options)
		require.NoError(t, err)
		require.Equal(t, c.want, pages)
	}
	_, err := convert(hidden, &conversionv1.Options{Pages: new("3")})
	require.Equal(t, problem.PagesNotFound, problem.From(err).Code)
	require.ErrorContains(t, err, "2 pages")
}
