package capabilities

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/docmill/docmill/contract/format"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// offered returns the identifiers of what is offered at a time, by source format.
func (c *Capabilities) offered(now time.Time) map[string][]string {
	offered := map[string][]string{}
	for _, f := range c.formatsAt(now) {
		for t := range f.Targets() {
			offered[f.ID] = append(offered[f.ID], t.ID)
		}
	}
	return offered
}

func announcement(id string, capabilities ...*conversionv1.Capability) *conversionv1.ConverterAnnounced {
	a := &conversionv1.ConverterAnnounced{ConverterId: id, ValidFor: durationpb.New(time.Minute), Capabilities: capabilities}
	for _, c := range capabilities {
		a.SourceFormats = append(a.SourceFormats, c.GetSourceFormat())
	}
	return a
}

func can(source string, targets ...string) *conversionv1.Capability {
	return &conversionv1.Capability{SourceFormat: source, TargetFormats: targets}
}

func TestOnlyWhatEveryConverterSupportsIsOffered(t *testing.T) {
	t.Parallel()
	var c Capabilities
	now := time.Now()
	everything := c.offered(now)
	require.Len(t, everything, len(slices.Collect(format.All())), "before the first announcement")

	c.learn(announcement("a", can("pptx", "pdf", "odp", "hologram"), can("docx", "pdf"), can("future", "pdf")), now)
	require.Equal(t, map[string][]string{"pptx": {"pdf", "odp"}, "docx": {"pdf"}}, c.offered(now))
	c.learn(announcement("b", can("pptx", "pdf", "png"), can("docx", "odt")), now)
	require.Equal(t, map[string][]string{"pptx": {"pdf"}}, c.offered(now), "docx has no target that both support")

	now = now.Add(50 * time.Second)
	c.learn(announcement("a", can("pptx", "pdf", "odp")), now)
	now = now.Add(50 * time.Second)
	require.Equal(t, map[string][]string{"pptx": {"pdf", "odp"}}, c.offered(now), "b has expired")
	now = now.Add(time.Hour)
	require.Equal(t, everything, c.offered(now), "all have expired")
}

func TestRate(t *testing.T) {
	t.Parallel()
	var c Capabilities
	now := time.Now()
	require.Zero(t, c.rateAt(now), "no converter is known")
	learn := func(id string, slots int32, seconds float64) {
		a := announcement(id, can("pptx", "pdf"))
		a.Slots, a.ConversionSeconds = slots, seconds
		c.learn(a, now)
	}
	learn("a", 4, 0)
	require.Zero(t, c.rateAt(now), "nothing was converted yet")
	learn("a", 4, 2)
	require.InDelta(t, 2, c.rateAt(now), 1e-9)
	learn("b", 8, 1)
	require.InDelta(t, 10, c.rateAt(now), 1e-9)
	learn("c", 6, 0)
	require.InDelta(t, 15, c.rateAt(now), 1e-9, "a new converter is as fast as the others")
	learn("older", 0, 0)
	require.Zero(t, c.rateAt(now), "a converter of a release that announces no slots")
	now = now.Add(50 * time.Second)
	learn("a", 4, 4)
	now = now.Add(50 * time.Second)
	require.InDelta(t, 1, c.rateAt(now), 1e-9, "the others have expired")
}

// TestValidityIsLimited: a mistake of one converter must not stay for long.
func TestValidityIsLimited(t *testing.T) {
	t.Parallel()
	var c Capabilities
	now := time.Now()
	a := announcement("a", can("pptx", "pdf"))
	a.ValidFor = durationpb.New(1000 * time.Hour)
	c.learn(a, now)
	require.Len(t, c.offered(now.Add(4*time.Minute)), 1)
	require.Greater(t, len(c.offered(now.Add(6*time.Minute))), 1)
}

// TestOlderConverter: a converter that announces source formats only has the targets of its release.
func TestOlderConverter(t *testing.T) {
	t.Parallel()
	var c Capabilities
	now := time.Now()
	older := &conversionv1.ConverterAnnounced{
		ConverterId: "older", SourceFormats: []string{"pptx", "future"}, ValidFor: durationpb.New(time.Minute),
	}
	c.learn(older, now)
	require.Equal(t, map[string][]string{"pptx": unannouncedTargets[format.Presentation]}, c.offered(now))
	require.False(t, c.converters["older"].supports("pptx", "hologram"), "a target that was added later")

	c.learn(announcement("newer", can("pptx", "pdf", "hologram")), now)
	require.Equal(t, map[string][]string{"pptx": {"pdf"}}, c.offered(now))
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
