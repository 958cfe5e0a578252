// Package visible counts pages as clients do. LibreOffice counts the slides of a presentation, hidden ones included, when it is
// told which to export; who asks for page 1 of a deck whose first slide is hidden means the first page of the PDF.
package visible

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/officefile"
	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

// Engine is an engine.Engine that renumbers the wanted pages of presentations with hidden slides. All else it leaves to Next. It
// is safe for concurrent use.
type Engine struct{ Next engine.Engine }

// Convert implements engine.Engine.
func (e Engine) Convert(ctx context.Context, request engine.Request) (engine.Output, error) {
	pages := request.Options.GetPages()
	if pages == "" || request.Options.GetHiddenSlides() || request.Format.Family != format.Presentation {
		return e.Next.Convert(ctx, request)
	}
	slides, known, err := count(ctx, request.Source)
	if err != nil {
		return engine.Output{}, err
	}
	if !known || len(slides.Hidden) == 0 || slides.Visible() == 0 {
		return e.Next.Convert(ctx, request)
	}
	numbers := renumber(pages, slides)
	if numbers == "" {
		return engine.Output{}, problem.New(problem.PagesNotFound, "The document has %d pages, and none of %s.", slides.Visible(), pages)
	}
	request.Options = proto.CloneOf(request.Options)
	request.Options.Pages = &numbers
	return e.Next.Convert(ctx, request)
}

// count counts the slides. It is not known of every format, nor of what is encrypted.
func count(ctx context.Context, path string) (slides officefile.SlideCount, known bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return slides, false, fmt.Errorf("open the document: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return slides, false, fmt.Errorf("look at the document: %w", err)
	}
	slides, err = officefile.CountSlides(ctx, file, info.Size())
	return slides, err == nil, nil
}

// renumber gives the numbers of the slides that become the wanted pages, or nothing when there are none.
func renumber(pages string, slides officefile.SlideCount) string {
	ranges, _ := option.ParsePages(pages) // the gateway has checked it
	numbers := shown(slides)
	var wanted []string
	for _, r := range ranges {
		for page := r.First; page <= min(r.Last, len(numbers)); page++ {
			wanted = append(wanted, strconv.Itoa(numbers[page-1]))
		}
	}
	return strings.Join(wanted, ",")
}

// shown lists the numbers of the slides that are not hidden.
func shown(slides officefile.SlideCount) []int {
	var numbers []int
	hidden := slides.Hidden
	for number := 1; number <= slides.Total; number++ {
		if len(hidden) > 0 && hidden[0] == number {
			hidden = hidden[1:]
			continue
		}
		numbers = append(numbers, number)
	}
	return numbers
}
