package conversion

import (
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/preflight"
)

// report collects what the end of an attempt tells of how it went. A step that fails has its time, too: the last one that
// has one is where it failed.
type report struct {
	message *conversionv1.Report
	// since is when the step that runs began.
	since time.Time

	mu sync.Mutex
	// opened is when the engine had the document open; zero before.
	opened time.Time
}

// newReport begins with the wait. The clocks of two machines may differ: nothing takes less than no time.
func newReport(requested, began time.Time) *report {
	r := &report{message: &conversionv1.Report{}, since: began}
	if !requested.IsZero() {
		r.message.Queued = durationpb.New(max(began.Sub(requested), 0))
	}
	return r
}

// lap gives the time since the last one.
func (r *report) lap(now time.Time) *durationpb.Duration {
	took := now.Sub(r.since)
	r.since = now
	return durationpb.New(took)
}

func (r *report) fetched() { r.message.Fetch = r.lap(time.Now()) }

// progressed is told how far the engine has come. A conversion that begins again loads again, and the time that it lost
// belongs to its loading.
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

// converted is told what the engine returned.
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
	default: // an engine that does not tell
		r.message.Export = r.lap(time.Now())
	}
}

func (r *report) stored() { r.message.Store = r.lap(time.Now()) }

// found is told what the document names. leavesOut says that hidden slides are left out.
func (r *report) found(in preflight.Findings, leavesOut bool) {
	r.message.BlockedLinks, r.message.BlockedLinksTotal = in.Links, int32(in.LinksTotal)
	r.message.MacrosBlocked = in.Macros
	if leavesOut {
		r.message.HiddenSlidesLeftOut = int32(in.HiddenSlides)
	}
}

// maxFontWarnings bounds how many fonts are warned of.
const maxFontWarnings = 20

// warnings are what a user should know of a success without looking into the report.
func (r *report) warnings() []*conversionv1.Warning {
	var all []*conversionv1.Warning
	warn := func(code problem.Code, detail string) {
		all = append(all, &conversionv1.Warning{Code: string(code), Detail: detail})
	}
	for _, font := range r.message.GetFonts() {
		if font.GetReplacedBy() != "" && len(all) < maxFontWarnings {
			warn(problem.FontSubstituted, font.GetName()+" → "+font.GetReplacedBy())
		}
	}
	if n := r.message.GetBlockedLinksTotal(); n > 0 {
		warn(problem.LinksBlocked, count(int(n), "link was", "links were")+" not followed.")
	}
	if r.message.GetMacrosBlocked() {
		warn(problem.MacrosBlocked, "The document's macros did not run.")
	}
	if n := r.message.GetHiddenSlidesLeftOut(); n > 0 {
		warn(problem.SlidesHidden, count(int(n), "hidden slide was", "hidden slides were")+" left out.")
	}
	return all
}

func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
