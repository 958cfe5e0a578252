package conversion

import (
	"context"
	"os"
	"slices"

	"go.uber.org/zap"

	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/fonts"
	"github.com/docmill/docmill/services/converter/internal/phase"
	"github.com/docmill/docmill/services/converter/internal/preflight"
)

// scan is what a preflight found in the document, and which of its fonts this machine has.
type scan struct {
	preflight.Findings

	// installed are the names of the fonts that are installed.
	installed map[string]bool
	// substitutes are the fonts that fontconfig chooses for those that are not installed, by the names in the document.
	substitutes map[string]string
	// lastResort is the key of the family that is chosen for an unknown name. It also has the characters that others
	// lack.
	lastResort string
	// missing are the characters of the document's text that no installed font has. They are not determined for a document
	// that contains fonts, which may have them.
	missing []rune
}

// maxSubstitutes bounds what a document with many invented font names can cost: each new one takes 5 ms.
const maxSubstitutes = 40

// startPreflight scans the document while the engine converts it, and sends one value. Facts that cannot be determined
// are omitted: no conversion fails because of its report.
func (a *attempt) startPreflight(ctx context.Context, request engine.Request) <-chan scan {
	result := make(chan scan, 1)
	file, err := os.Open(request.Source)
	if err != nil {
		a.log.Warn("cannot open the document for the preflight", zap.Error(err))
		result <- scan{}
		return result
	}
	go func() {
		ctx, end := a.Phases.Start(ctx, phase.Preflight)
		defer file.Close()
		found := scan{installed: map[string]bool{}, substitutes: map[string]string{}}
		defer func() {
			end(nil)
			result <- found
		}()
		defer a.ignorePanic()
		if info, err := file.Stat(); err == nil {
			found.Findings = preflight.Scan(ctx, file, info.Size(), request.Format)
		}
		contains := func(font preflight.Font) bool { return font.Embedded }
		if !slices.ContainsFunc(found.Fonts, contains) {
			found.missing = a.Fonts.Lacking(ctx, found.Characters)
		}
		for _, font := range found.Fonts {
			if a.Fonts.Has(ctx, font.Name) {
				found.installed[font.Name] = true
			} else if len(found.substitutes) < maxSubstitutes {
				found.substitutes[font.Name] = a.Fonts.Substitute(ctx, font.Name)
			}
		}
		found.lastResort = fonts.Key(a.Fonts.LastResort(ctx))
	}()
	return result
}
