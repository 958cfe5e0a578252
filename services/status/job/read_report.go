package job

import (
	"math"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/docmill/docmill/contract/option"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// report reads a report; nil if there is none.
func report(m *conversionv1.Report) *Report {
	if m == nil {
		return nil
	}
	read := &Report{
		Engine: text(m.GetEngine()),
		Seconds: Seconds{
			Queued: seconds(m.GetQueued()), Fetch: seconds(m.GetFetch()), Load: seconds(m.GetLoad()),
			Export: seconds(m.GetExport()), Store: seconds(m.GetStore()),
		},
		Fonts:             make([]Font, len(m.GetFonts())),
		BlockedLinks:      make([]string, len(m.GetBlockedLinks())),
		BlockedLinksTotal: m.GetBlockedLinksTotal(), MacrosBlocked: m.GetMacrosBlocked(),
		HiddenSlidesLeftOut: m.GetHiddenSlidesLeftOut(),
		MissingCharacters:   text(m.GetMissingCharacters()), MissingCharactersTotal: m.GetMissingCharactersTotal(),
	}
	for i, f := range m.GetFonts() {
		read.Fonts[i] = Font{
			Name: text(f.GetName()), ReplacedBy: text(f.GetReplacedBy()), Found: f.GetFound(), SameMetrics: f.GetSameMetrics(),
		}
	}
	for i, link := range m.GetBlockedLinks() {
		read.BlockedLinks[i] = text(link)
	}
	return read
}

// seconds returns a duration rounded to milliseconds, the precision that is useful to people; nil if it is not known.
func seconds(d *durationpb.Duration) *float64 {
	if d == nil {
		return nil
	}
	rounded := math.Round(d.AsDuration().Seconds()*1000) / 1000
	return &rounded
}

// options returns the options that the client set, as clients write them; nil if there are none.
func options(m *conversionv1.Options) map[string]any {
	values := option.Values(m)
	for name, value := range values {
		if written, ok := value.(string); ok {
			values[name] = text(written)
		}
	}
	if len(values) == 0 {
		return nil
	}
	return values
}
