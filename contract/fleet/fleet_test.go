package fleet

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/option"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// offered returns the identifiers of the targets that are offered at a time, by source format.
func (f *Fleet) offered(now time.Time) map[string][]string {
	offered := map[string][]string{}
	for _, f := range f.offerAt(now).Formats {
		for t := range f.Targets() {
			offered[f.ID] = append(offered[f.ID], t.ID)
		}
	}
	return offered
}

// announcement returns the announcement of a converter of this release.
func announcement(id string, capabilities ...*conversionv1.Capability) *conversionv1.ConverterAnnounced {
	a := older(id, capabilities...)
	a.Options, a.ContractVersion = Options(), LeavesToOthers
	return a
}

// older returns the announcement of a converter that does not leave commands to others.
func older(id string, capabilities ...*conversionv1.Capability) *conversionv1.ConverterAnnounced {
	a := &conversionv1.ConverterAnnounced{ConverterId: id, ValidFor: durationpb.New(time.Minute), Capabilities: capabilities}
	for _, c := range capabilities {
		a.SourceFormats = append(a.SourceFormats, c.GetSourceFormat())
	}
	return a
}

func can(source string, targets ...string) *conversionv1.Capability {
	return &conversionv1.Capability{SourceFormat: source, TargetFormats: targets}
}

type targets = map[string][]string

// TestWhatOneConverterSupportsIsOffered: one converter with few filters does not reduce what the others can do.
func TestWhatOneConverterSupportsIsOffered(t *testing.T) {
	t.Parallel()
	var f Fleet
	now := time.Now()
	everything := f.offered(now)
	require.Len(t, everything, len(slices.Collect(format.All())), "before the first announcement")

	f.learn(announcement("a", can("pptx", "pdf", "odp", "hologram"), can("future", "pdf")), now)
	require.Equal(t, everything, f.offered(now), "others may not have announced themselves yet")
	now = now.Add(settleTime)
	require.Equal(t, targets{"pptx": {"pdf", "odp"}}, f.offered(now))
	f.learn(announcement("b", can("pptx", "pdf", "png"), can("docx", "odt")), now)
	require.Equal(t, targets{"pptx": {"pdf", "odp", "png"}, "docx": {"odt"}}, f.offered(now))

	now = now.Add(50 * time.Second) // a has expired
	f.learn(announcement("b", can("pptx", "pdf")), now)
	require.Equal(t, targets{"pptx": {"pdf"}}, f.offered(now))
	now = now.Add(time.Hour)
	require.Equal(t, everything, f.offered(now), "all have expired")
	f.learn(announcement("a", can("pptx", "pdf")), now)
	require.Equal(t, everything, f.offered(now), "as at the start")
}

// TestSingleConverter: the announcement of the only converter is complete.
func TestSingleConverter(t *testing.T) {
	t.Parallel()
	f := Fleet{Single: true}
	f.learn(announcement("a", can("pptx", "pdf")), time.Now())
	require.Equal(t, targets{"pptx": {"pdf"}}, f.offered(time.Now()))
	require.Equal(t, Yes, f.Converts("pptx", "pdf"))
	require.Equal(t, No, f.Converts("pptx", "odp"))
}

// TestOlderConverterLimitsTheOffer: a converter that does not leave commands to others must support whatever is offered.
func TestOlderConverterLimitsTheOffer(t *testing.T) {
	t.Parallel()
	var f Fleet
	now := time.Now()
	f.learn(older("older", can("pptx", "pdf", "odp"), can("docx", "pdf")), now)
	require.Equal(t, targets{"pptx": {"pdf", "odp"}, "docx": {"pdf"}}, f.offered(now), "at once")
	f.learn(announcement("newer", can("pptx", "pdf", "png"), can("docx", "odt")), now)
	now = now.Add(settleTime)
	require.Equal(t, targets{"pptx": {"pdf", "odp"}, "docx": {"pdf"}}, f.offered(now))
	f.learn(older("another", can("pptx", "pdf")), now)
	require.Equal(t, targets{"pptx": {"pdf"}}, f.offered(now))
}

// options returns the options that are offered at a time, with their values.
func (f *Fleet) options(now time.Time) map[string][]string {
	offered := map[string][]string{}
	for _, o := range f.offerAt(now).Options(true, true) {
		if !o.Name.OfSubmission() {
			offered[string(o.Name)] = o.Allowed
		}
	}
	return offered
}

// TestOptions: an option, and a value of an option, is offered if a converter knows it, unless another one would ignore it.
func TestOptions(t *testing.T) {
	t.Parallel()
	var f Fleet
	now := time.Now()
	everything := f.options(now)
	require.Len(t, everything, len(option.All()))

	a := announcement("a", can("pptx", "pdf"))
	a.Options = []*conversionv1.KnownOption{{Name: "pages"}, {Name: "pdf_a", Values: []string{"1b", "9z"}}, {Name: "future"}}
	f.learn(a, now)
	require.Equal(t, everything, f.options(now), "others may not have announced themselves yet")
	now = now.Add(settleTime)
	require.Equal(t, targets{"pages": nil, "pdf_a": {"1b"}}, f.options(now))
	b := announcement("b", can("pptx", "pdf"))
	b.Options = []*conversionv1.KnownOption{{Name: "pdf_a", Values: []string{"2b"}}, {Name: "dpi"}, {Name: "paper"}}
	f.learn(b, now)
	require.Equal(t, targets{"pages": nil, "pdf_a": {"1b", "2b"}, "dpi": nil}, f.options(now), "paper has no value")

	f.learn(older("older", can("pptx", "pdf")), now)
	require.Equal(t, unannouncedOptions, f.options(now), "it knows those of its release")
	require.False(t, f.members(now).know("future", ""), "the older converter would ignore it")
}

// TestUnannouncedOptionsAreFrozen: the table may grow, but what older releases know does not change. A new option is
// added only to the table.
func TestUnannouncedOptionsAreFrozen(t *testing.T) {
	t.Parallel()
	require.Len(t, unannouncedOptions, 29)
	values := 0
	for name, known := range unannouncedOptions {
		values += len(known)
		own, found := ownOptions()[name]
		require.True(t, found, "%s: an option is never removed from the table", name)
		require.Subset(t, own, known, name)
	}
	require.Equal(t, 3+2+3+3+5+3+6+2, values)
}

func TestQuestions(t *testing.T) {
	t.Parallel()
	var f Fleet
	now := time.Now().Add(-settleTime)
	require.Equal(t, Unknown, f.Converts("pptx", "pdf"))
	f.learn(announcement("a", can("pptx", "pdf")), now)
	require.Equal(t, Yes, f.Converts("pptx", "pdf"))
	require.Equal(t, No, f.Converts("pptx", "odp"))
	require.Equal(t, No, f.HasNewer())

	f.learn(announcement("b", can("holo", "pdf")), now)
	require.Equal(t, Yes, f.Converts("holo", "pdf"), "a format of a newer release")
	require.Equal(t, No, f.HasNewer())
	for _, newer := range []*conversionv1.KnownOption{{Name: "future"}, {Name: "pdf_a", Values: []string{"9z"}}} {
		c := announcement("c")
		c.Options = append(c.GetOptions(), newer)
		f.learn(c, now)
		require.Equal(t, Yes, f.HasNewer())
		f.learn(announcement("c"), now)
		require.Equal(t, No, f.HasNewer())
	}

	var fresh Fleet
	fresh.learn(announcement("a", can("pptx", "pdf")), time.Now())
	require.Equal(t, Yes, fresh.Converts("pptx", "pdf"))
	require.Equal(t, Unknown, fresh.Converts("pptx", "odp"))
}

// TestConverterMayComeBack: after a converter has left, the others do not know for a while whether it will be back.
func TestConverterMayComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f Fleet
		f.learn(announcement("a", can("vsd", "pdf")), time.Now())
		time.Sleep(settleTime)
		f.learn(announcement("b", can("pptx", "pdf")), time.Now())
		require.Equal(t, Yes, f.Converts("vsd", "pdf"))
		require.Equal(t, No, f.Converts("holo", "pdf"))
		time.Sleep(time.Minute - settleTime + 1) // a's announcement expires
		require.Equal(t, Unknown, f.Converts("vsd", "pdf"))
		for range absence / (30 * time.Second) {
			require.Equal(t, Unknown, f.Converts("vsd", "pdf"))
			f.learn(announcement("b", can("pptx", "pdf")), time.Now())
			time.Sleep(30 * time.Second)
		}
		require.Equal(t, No, f.Converts("vsd", "pdf"))
	})
}

func TestRate(t *testing.T) {
	t.Parallel()
	var f Fleet
	now := time.Now()
	require.Zero(t, f.rateAt(now), "no converter is known")
	learn := func(id string, slots int32, seconds float64) {
		a := announcement(id, can("pptx", "pdf"))
		a.Slots, a.ConversionSeconds = slots, seconds
		f.learn(a, now)
	}
	learn("a", 4, 0)
	require.Zero(t, f.rateAt(now), "nothing was converted yet")
	learn("a", 4, 2)
	require.InDelta(t, 2, f.rateAt(now), 1e-9)
	learn("b", 8, 1)
	require.InDelta(t, 10, f.rateAt(now), 1e-9)
	learn("c", 6, 0)
	require.InDelta(t, 15, f.rateAt(now), 1e-9, "a new converter is as fast as the others")
	learn("older", 0, 0)
	require.Zero(t, f.rateAt(now), "a converter of a release that announces no slots")
	now = now.Add(50 * time.Second)
	learn("a", 4, 4)
	now = now.Add(50 * time.Second)
	require.InDelta(t, 1, f.rateAt(now), 1e-9, "the others have expired")
}

// TestValidityIsLimited: a wrong announcement must not remain in effect for long.
func TestValidityIsLimited(t *testing.T) {
	t.Parallel()
	f := Fleet{Single: true}
	now := time.Now()
	a := announcement("a", can("pptx", "pdf"))
	a.ValidFor = durationpb.New(1000 * time.Hour)
	f.learn(a, now)
	require.Len(t, f.offered(now.Add(4*time.Minute)), 1)
	require.Greater(t, len(f.offered(now.Add(6*time.Minute))), 1)
}

// TestConverterWithoutCapabilities: a converter that announces only source formats has the targets of its release.
func TestConverterWithoutCapabilities(t *testing.T) {
	t.Parallel()
	var f Fleet
	now := time.Now()
	oldest := &conversionv1.ConverterAnnounced{
		ConverterId: "oldest", SourceFormats: []string{"pptx", "future"}, ValidFor: durationpb.New(time.Minute),
	}
	f.learn(oldest, now)
	require.Equal(t, targets{"pptx": unannouncedTargets[format.Presentation]}, f.offered(now))
	require.NotContains(t, f.converters["oldest"].targets["pptx"], "hologram", "a target that was added later")

	f.learn(announcement("newer", can("pptx", "pdf", "hologram")), now)
	require.Equal(t, targets{"pptx": unannouncedTargets[format.Presentation]}, f.offered(now))
}

// TestUnannouncedTargetsAreFrozen: the table may grow, but what the older release could do does not change.
func TestUnannouncedTargetsAreFrozen(t *testing.T) {
	t.Parallel()
	require.Len(t, unannouncedTargets, 4)
	count := 0
	for family, targets := range unannouncedTargets {
		count += len(targets)
		format := format.Format{Family: family}
		for _, id := range targets {
			_, found := format.Target(id)
			require.True(t, found, "%s of %s: a target is never removed from the table", id, family)
		}
	}
	require.Equal(t, 9+12+9+7, count)
}
