package fold

import (
	"math"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/option"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// report reads a report; nil when there is none.
func report(m *conversionv1.Report) *jobapi.Report {
	if m == nil {
		return nil
	}
	read := &jobapi.Report{
		Engine: text(m.GetEngine()),
		Seconds: jobapi.Seconds{
			Queued: seconds(m.GetQueued()), Fetch: seconds(m.GetFetch()), Load: seconds(m.GetLoad()),
			Export: seconds(m.GetExport()), Store: seconds(m.GetStore()),
		},
		Fonts:             make([]jobapi.Font, len(m.GetFonts())),
		BlockedLinks:      make([]string, len(m.GetBlockedLinks())),
		BlockedLinksTotal: m.GetBlockedLinksTotal(), MacrosBlocked: m.GetMacrosBlocked(),
		HiddenSlidesLeftOut: m.GetHiddenSlidesLeftOut(),
	}
	for i, f := range m.GetFonts() {
		read.Fonts[i] = jobapi.Font{Name: text(f.GetName()), ReplacedBy: text(f.GetReplacedBy()), Found: f.GetFound()}
	}
	for i, link := range m.GetBlockedLinks() {
		read.BlockedLinks[i] = text(link)
	}
	return read
}

// seconds gives a duration in milliseconds' precision, which is what people can use; nil when it is not known.
func seconds(d *durationpb.Duration) *float64 {
	if d == nil {
		return nil
	}
	rounded := math.Round(d.AsDuration().Seconds()*1000) / 1000
	return &rounded
}

// options gives what the client chose, as clients write it; nil when that is nothing.
func options(m *conversionv1.Options) map[string]any {
	values := option.Values(m)
	for name, value := range values {
		if written, is := value.(string); is {
			values[name] = text(written)
		}
	}
	if len(values) == 0 {
		return nil
	}
	return values
}
