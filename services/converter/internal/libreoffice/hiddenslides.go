package libreoffice

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/officefile"
	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

// This file contains everything about hidden slides. LibreOffice omits them from a PDF unless an option includes them.
// Its behavior differs from what clients expect:
//
//   - It counts hidden slides when it exports a range of pages. A client that requests page 1 of a deck whose
//     first slide is hidden means the first page of the PDF.
//   - It reports nothing if all slides are hidden, or if there are none: it writes no PDF, or a blank page.

// slides are those of a presentation.
type slides struct {
	officefile.SlideCount

	// counted is false if the slides cannot be counted before LibreOffice has opened the document: in the binary
	// format, in an encrypted document and in one that is not a presentation.
	counted bool
}

// countSlides counts the slides of a document of the family.
func countSlides(ctx context.Context, file *os.File, size int64, family format.Family) slides {
	if family != format.Presentation {
		return slides{}
	}
	count, err := officefile.CountSlides(ctx, file, size)
	return slides{count, err == nil}
}

// omitsHiddenSlides reports whether the request's result has no hidden slides: a PDF has none unless the client wants
// them, but a presentation in another format keeps them.
func omitsHiddenSlides(request engine.Request) bool {
	return request.Format.Family == format.Presentation && request.Target.ID == format.TargetPDF && !request.Options.GetHiddenSlides()
}

// check returns a *problem.Error if there would be nothing in the result.
func (s slides) check(request engine.Request) error {
	switch {
	case s.counted && s.Total == 0:
		return problem.New(problem.DocumentEmpty, "The presentation has no slides.")
	case s.counted && s.Visible() == 0 && omitsHiddenSlides(request):
		return problem.New(problem.DocumentEmpty, "All slides of the presentation are hidden.")
	default:
		return nil
	}
}

// omitted returns the number of hidden slides that the request's result lacks; 0 if they cannot be counted.
func (s slides) omitted(request engine.Request) int {
	if !omitsHiddenSlides(request) {
		return 0
	}
	return len(s.Hidden)
}

// convertVisible converts a document whose pages the client counts without hidden slides.
func (e *Engine) convertVisible(ctx context.Context, request engine.Request, in input) (engine.Output, error) {
	pages := request.Options.GetPages()
	switch {
	case pages == "" || !omitsHiddenSlides(request) || in.slides.counted && len(in.slides.Hidden) == 0:
		return e.convertRetrying(ctx, request, in)
	case in.slides.counted:
		numbers := in.slides.renumber(pages)
		if numbers == "" {
			return engine.Output{}, pagesNotFound(in.slides.Visible(), pages)
		}
		request.Options = withPages(request.Options, &numbers)
		return e.convertRetrying(ctx, request, in)
	case request.Options.GetNotes() > conversionv1.Notes_NOTES_NONE:
		return e.convertRetrying(ctx, request, in) // a PDF with notes has other pages than slides
	default:
		return e.convertAndSelect(ctx, request, in)
	}
}

// convertAndSelect converts all pages and then selects the requested ones from the PDF, because it is not known which
// slides are hidden. That takes longer: exporting 19 slides with many images took 1.1 s, opening them 0.5 s.
func (e *Engine) convertAndSelect(ctx context.Context, request engine.Request, in input) (engine.Output, error) {
	wanted := request.Options.GetPages()
	request.Options = withPages(request.Options, nil)
	output, err := e.convertRetrying(ctx, request, in)
	if err != nil {
		return output, err
	}
	numbers := selectNumbers(wanted, output.Pages)
	switch len(numbers) {
	case 0:
		return engine.Output{Engine: output.Engine}, pagesNotFound(output.Pages, wanted)
	case output.Pages:
		return output, nil
	}
	output.Path, err = e.pdf.Select(ctx, output.Path, numbers, e.limits.Sandbox())
	if err != nil {
		return engine.Output{Engine: output.Engine}, engine.LimitExceeded(err)
	}
	output.Pages = len(numbers)
	return output, nil
}

func pagesNotFound(total int, wanted string) *problem.Error {
	return problem.New(problem.PagesNotFound, "The document has %d pages, but none of the requested pages %s.", total, wanted)
}

// withPages returns a copy of options with other pages. Nil means all.
func withPages(options *conversionv1.Options, pages *string) *conversionv1.Options {
	options = proto.CloneOf(options)
	options.Pages = pages
	return options
}

// renumber returns the slides that become the wanted pages, as LibreOffice counts them; "" if there are none.
func (s slides) renumber(pages string) string {
	ranges, _ := option.ParsePages(pages) // the gateway has checked it
	visible := s.visibleNumbers()
	var wanted []string
	for _, r := range ranges {
		for page := r.First; page <= min(r.Last, len(visible)); page++ {
			wanted = append(wanted, strconv.Itoa(visible[page-1]))
		}
	}
	return strings.Join(wanted, ",")
}

// visibleNumbers returns the numbers of the slides that are not hidden.
func (s slides) visibleNumbers() []int {
	var numbers []int
	hidden := s.Hidden // in order
	for number := 1; number <= s.Total; number++ {
		if len(hidden) > 0 && hidden[0] == number {
			hidden = hidden[1:]
			continue
		}
		numbers = append(numbers, number)
	}
	return numbers
}

// selectNumbers returns the pages of a page range that a document of total pages has, each once and in order, as
// LibreOffice exports them.
func selectNumbers(pages string, total int) []int {
	ranges, _ := option.ParsePages(pages) // the gateway has checked it
	var numbers []int
	for page := 1; page <= total; page++ {
		if slices.ContainsFunc(ranges, func(r option.Range) bool { return r.First <= page && page <= r.Last }) {
			numbers = append(numbers, page)
		}
	}
	return numbers
}
