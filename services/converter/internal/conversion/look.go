package conversion

import (
	"cmp"
	"context"
	"os"

	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/format"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/fonts"
	"github.com/docmill/docmill/services/converter/internal/preflight"
)

// seen is what a look at the document has brought.
type seen struct {
	preflight.Findings

	// standIns are what this machine has in place of fonts that it lacks, by the names in the document.
	standIns map[string]string
	// installed are the names of those that it has.
	installed map[string]bool
	// last is the key of the family that is taken when nothing is known of a name. It also has the signs that others lack.
	last string
}

// maxStandIns bounds what a document with many invented names of fonts can cost: each takes 5 ms when it is new.
const maxStandIns = 40

// startLook looks into the document while the engine works on it. It gives one value. What cannot be found out is left out: no
// conversion fails for its report.
func (a *attempt) startLook(ctx context.Context, request engine.Request) <-chan seen {
	result := make(chan seen, 1)
	file, err := os.Open(request.Source) // now: a second conversion moves it
	if err != nil {
		a.log.Warn("the document cannot be looked at", zap.Error(err))
		result <- seen{}
		return result
	}
	go func() {
		defer file.Close()
		found := seen{standIns: map[string]string{}, installed: map[string]bool{}}
		if info, err := file.Stat(); err == nil {
			found.Findings = preflight.Scan(ctx, file, info.Size(), request.Format)
		}
		for _, font := range found.Fonts {
			if a.Fonts.Has(ctx, font.Name) {
				found.installed[font.Name] = true
			} else if len(found.standIns) < maxStandIns {
				found.standIns[font.Name] = a.Fonts.StandIn(ctx, font.Name)
			}
		}
		found.last = fonts.Key(a.Fonts.Last(ctx))
		result <- found
	}()
	return result
}

// startFonts finds out, while the result is finished and stored, what became of the fonts that the document names. It gives one
// value. output is what LibreOffice wrote: a PDF before a password or pictures hide its fonts, or something else for a target that
// it writes itself.
func (a *attempt) startFonts(ctx context.Context, in seen, output engine.Output, target format.Target) <-chan []*conversionv1.Font {
	result := make(chan []*conversionv1.Font, 1)
	go func() {
		var used map[string]bool
		if isPDF := target.ID == "pdf" || target.Kind != format.Written; isPDF && output.Path != "" && len(in.standIns) > 0 {
			used = a.familiesIn(ctx, output.Path)
		}
		result <- judgeFonts(in, used)
	}()
	return result
}

// familiesIn gives the keys of the families that a PDF has.
func (a *attempt) familiesIn(ctx context.Context, path string) map[string]bool {
	names, err := a.PDF.Fonts(ctx, path)
	if err != nil {
		a.log.Debug("the result's fonts cannot be told", zap.Error(err))
		return nil
	}
	families := map[string]bool{}
	for _, name := range names {
		families[fonts.Key(a.Fonts.Family(name))] = true
	}
	return families
}

// judgeFonts says what became of the fonts that the document names, by what the result has: a font inside the document counts
// when LibreOffice took it, and what this machine has in place of one when the result really has it.
//
// A font for Asian or complex scripts or for bullets is mostly named in vain. Its stand-in counts only when nothing else
// explains that the result has it.
func judgeFonts(in seen, used map[string]bool) []*conversionv1.Font {
	judged := make([]*conversionv1.Font, 0, len(in.Fonts))
	explained := map[string]bool{}
	for _, font := range in.Fonts {
		told := &conversionv1.Font{Name: font.Name, Found: in.installed[font.Name] || font.Embedded && used[fonts.Key(font.Name)]}
		judged = append(judged, told)
		standIn := in.standIns[font.Name]
		if !told.GetFound() && !font.Secondary && standIn != "" && used[fonts.Key(standIn)] {
			told.ReplacedBy = standIn
		}
		explained[fonts.Key(cmp.Or(told.GetReplacedBy(), told.GetName()))] = true
	}
	for i, font := range in.Fonts {
		key := fonts.Key(in.standIns[font.Name])
		if told := judged[i]; !told.GetFound() && font.Secondary && used[key] && !explained[key] && key != in.last {
			told.ReplacedBy = in.standIns[font.Name]
		}
	}
	return judged
}
