package conversion

import (
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

// report collects the report of an attempt, which the event that ends it contains. A step that failed has a duration,
// too: it is the last step that has one.
type report struct {
	message *conversionv1.Report
	// since is when the current step began.
	since time.Time

	mu sync.Mutex
	// opened is when the engine had opened the document; zero before.
	opened time.Time
}

// newReport begins with the time in the queue. The clocks of two machines may differ, so it is at least 0.
func newReport(requested, began time.Time) *report {
	r := &report{message: &conversionv1.Report{}, since: began}
	if !requested.IsZero() {
		r.message.Queued = durationpb.New(max(began.Sub(requested), 0))
	}
	return r
}

// lap returns the duration since the previous call.
func (r *report) lap(now time.Time) *durationpb.Duration {
	took := now.Sub(r.since)
	r.since = now
	return durationpb.New(took)
}

func (r *report) fetched() { r.message.Fetch = r.lap(time.Now()) }

// progressed records the engine's progress. A conversion that is repeated loads again; the lost time counts as loading.
func (r *report) progressed(p engine.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case p.Phase == engine.Loading:
		r.opened = time.Time{}
	case r.opened.IsZero():
		r.opened = time.Now()
	}
}

// converted records what the engine returned.
func (r *report) converted(output engine.Output, err error) {
	r.mu.Lock()
	opened := r.opened
	r.mu.Unlock()
	r.message.Engine = output.Engine
	switch {
	case !opened.IsZero():
		r.message.Load = r.lap(opened)
		r.message.Export = r.lap(time.Now())
	case err != nil:
		r.message.Load = r.lap(time.Now())
	default: // an engine without progress
		r.message.Export = r.lap(time.Now())
	}
}

func (r *report) stored() { r.message.Store = r.lap(time.Now()) }

// maxMissing bounds the number of missing characters that are listed.
const maxMissing = 20

// found records what the document contains, and how many of its hidden slides were omitted.
func (r *report) found(in scan, hiddenSlides int) {
	r.message.MissingCharacters = string(in.missing[:min(len(in.missing), maxMissing)])
	r.message.MissingCharactersTotal = int32(len(in.missing))
	r.message.BlockedLinks, r.message.BlockedLinksTotal = in.Links, int32(in.LinksTotal)
	r.message.MacrosBlocked = in.Macros
	r.message.HiddenSlidesLeftOut = int32(hiddenSlides)
}

// maxFontWarnings bounds the number of fonts that have a warning.
const maxFontWarnings = 20

// warnings returns the warnings about a success, for users who do not read the report.
func (r *report) warnings() []*conversionv1.Warning {
	var all []*conversionv1.Warning
	warn := func(code problem.Code, detail string) {
		all = append(all, &conversionv1.Warning{Code: string(code), Detail: detail})
	}
	for _, font := range r.message.GetFonts() {
		if font.GetReplacedBy() == "" || len(all) == maxFontWarnings {
			continue
		}
		code := problem.FontSubstituted
		if font.GetSameMetrics() {
			code = problem.FontReplaced
		}
		warn(code, font.GetName()+" → "+font.GetReplacedBy())
	}
	if n := r.message.GetMissingCharactersTotal(); n > 0 {
		some := r.message.GetMissingCharacters()
		if int(n) > utf8.RuneCountInString(some) {
			some += "…"
		}
		warn(problem.GlyphsMissing, count(int(n), "character is", "characters are")+" in no font: "+some)
	}
	if n := r.message.GetBlockedLinksTotal(); n > 0 {
		warn(problem.LinksBlocked, count(int(n), "link was", "links were")+" not followed.")
	}
	if r.message.GetMacrosBlocked() {
		warn(problem.MacrosBlocked, "The document's macros did not run.")
	}
	if n := r.message.GetHiddenSlidesLeftOut(); n > 0 {
		warn(problem.SlidesHidden, count(int(n), "hidden slide was", "hidden slides were")+" omitted.")
	}
	return all
}

func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
