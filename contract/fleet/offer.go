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

	knows func(name, value string) bool
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
// with.
func (o Offer) Options(secrets bool) []option.Option {
	var offered []option.Option
	for _, one := range option.Offered(o.targets(), secrets) {
		if one.Name == option.To || one.Name == option.Tag { // handled by the gateway itself
			offered = append(offered, one)
			continue
		}
		known := o.knows == nil || o.knows(string(one.Name), "")
		if o.knows != nil {
			one.Allowed = slices.DeleteFunc(slices.Clone(one.Allowed), func(value string) bool { return !o.knows(string(one.Name), value) })
		}
		if known && (one.Kind != option.Choice || len(one.Allowed) > 0) {
			offered = append(offered, one)
		}
	}
	return offered
}

// targets returns the identifiers of the formats that documents can be converted to.
func (o Offer) targets() []string {
	var ids []string
	for _, format := range o.Formats {
		for target := range format.Targets() {
			if !slices.Contains(ids, target.ID) {
				ids = append(ids, target.ID)
			}
		}
	}
	return ids
}

// Everything returns the offer of this release: all formats, targets and options.
var Everything = sync.OnceValue(func() Offer { return Offer{Formats: formats(func(string, string) bool { return true })} })

// Offer returns what at least one running converter supports: other converters leave such commands to it. Older
// converters do not leave commands to others, so they must support it as well. Everything is offered while no converter
// is known, or while some may not have announced themselves yet: the jobs wait.
func (f *Fleet) Offer() Offer { return f.offerAt(time.Now()) }

func (f *Fleet) offerAt(now time.Time) Offer {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(now)
	if f.offer == nil || !f.recheck.IsZero() && !now.Before(f.recheck) {
		f.offer, f.recheck = new(f.combine(f.complete(now))), time.Time{}
		if now.Before(f.settled) {
			f.recheck = f.settled
		}
	}
	return *f.offer
}

// combine returns what the converters offer together. If not all of them are known yet, only those that would fail or
// misread a command restrict the offer.
func (f *Fleet) combine(complete bool) Offer {
	converters := slices.Collect(maps.Values(f.converters))
	support := func(supports func(converter) bool) bool {
		some := !complete
		for _, one := range converters {
			switch {
			case supports(one):
				some = true
			case !one.leaves:
				return false
			}
		}
		return some
	}
	return Offer{
		Formats: formats(func(source, target string) bool {
			return support(func(c converter) bool { return slices.Contains(c.targets[source], target) })
		}),
		knows: func(name, value string) bool {
			return support(func(c converter) bool {
				values, known := c.options[name]
				return known && (value == "" || slices.Contains(values, value))
			})
		},
	}
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
