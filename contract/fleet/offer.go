package fleet

import (
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/option"
)

// Offer is what clients can request.
type Offer struct {
	// Formats are the formats that can be converted. They must not be modified.
	Formats []Format

	options []option.Option // with secret ones
}

// Format is a format that can be converted, with its targets.
type Format struct {
	format.Format

	targets []format.Target
}

// Targets returns what documents of the format can be converted into. There is at least one.
func (f Format) Targets() iter.Seq[format.Target] { return slices.Values(f.targets) }

// Target returns one of the format's targets by its identifier.
func (f Format) Target(id string) (format.Target, bool) {
	if i := slices.IndexFunc(f.targets, func(t format.Target) bool { return t.ID == id }); i >= 0 {
		return f.targets[i], true
	}
	return format.Target{}, false
}

// Options returns the options that a submission may have. Secret ones are included only if there is a key to seal them
// with, and those for webhooks only if webhooks are sent. The result must not be modified.
func (o Offer) Options(secrets, webhooks bool) []option.Option {
	if secrets && webhooks {
		return o.options
	}
	return slices.DeleteFunc(slices.Clone(o.options), func(one option.Option) bool {
		return one.Kind == option.Secret && !secrets || one.Name.OfCallback() && !webhooks
	})
}

// newOffer returns an offer of what is supported. An empty value of an option means any.
func newOffer(converts func(source, target string) bool, knows func(name, value string) bool) Offer {
	offer := Offer{Formats: formats(converts)}
	for _, one := range option.Offered(targetsOf(offer.Formats), true) {
		if one.Name.OfSubmission() { // handled by the gateway itself
			offer.options = append(offer.options, one)
			continue
		}
		one.Allowed = slices.DeleteFunc(slices.Clone(one.Allowed), func(value string) bool { return !knows(string(one.Name), value) })
		if knows(string(one.Name), "") && (one.Kind != option.Choice || len(one.Allowed) > 0) {
			offer.options = append(offer.options, one)
		}
	}
	return offer
}

// targetsOf returns the identifiers of the formats that documents can be converted to.
func targetsOf(formats []Format) []string {
	var ids []string
	for _, format := range formats {
		for target := range format.Targets() {
			if !slices.Contains(ids, target.ID) {
				ids = append(ids, target.ID)
			}
		}
	}
	return ids
}

// Everything returns the offer of this release: all formats, targets and options.
var Everything = sync.OnceValue(func() Offer {
	all := func(string, string) bool { return true }
	return newOffer(all, all)
})

// Offer returns what at least one running converter supports: other converters leave such commands to it. Older
// converters do not leave commands to others, so they must support it as well. Everything is offered while no converter
// is known, or while some may not have announced themselves yet: the jobs wait.
func (f *Fleet) Offer() Offer { return f.offerAt(time.Now()) }

func (f *Fleet) offerAt(now time.Time) Offer {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(now)
	if f.offer == nil || !f.recheck.IsZero() && !now.Before(f.recheck) {
		all := f.members(now)
		f.offer, f.recheck = new(newOffer(all.convert, all.know)), time.Time{}
		if now.Before(f.settled) {
			f.recheck = f.settled
		}
	}
	return *f.offer
}

// members are the running converters at one moment.
type members struct {
	converters []converter
	// complete means that there are no others.
	complete bool
}

func (f *Fleet) members(now time.Time) members {
	return members{slices.Collect(maps.Values(f.converters)), f.complete(now)}
}

// support reports whether the converters support something together. If not all of them are known yet, only those that
// would fail or misread a command matter.
func (m members) support(supports func(converter) bool) bool {
	some := !m.complete
	for _, one := range m.converters {
		switch {
		case supports(one):
			some = true
		case !one.leaves:
			return false
		}
	}
	return some
}

func (m members) convert(source, target string) bool {
	return m.support(func(c converter) bool { return c.converts(source, target) })
}

func (m members) know(name, value string) bool {
	return m.support(func(c converter) bool { return c.knows(name, value) })
}

// formats returns the formats and targets of this release for which offered returns true.
func formats(offered func(source, target string) bool) []Format {
	var all []Format
	for f := range format.All() {
		targets := slices.DeleteFunc(slices.Collect(f.Targets()), func(target format.Target) bool { return !offered(f.ID, target.ID) })
		if len(targets) > 0 {
			all = append(all, Format{Format: f, targets: targets})
		}
	}
	return all
}
