// Package capabilities keeps track of the conversions that every running converter supports. Converters announce them,
// because they depend on the converter's release and on the installed LibreOffice.
package capabilities

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/message"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// Format is a format that can be converted, with the targets that all converters support.
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

// all is what is supported while no converter is known.
var all = supported(nil)

// All returns all formats with all targets. The slice must not be modified.
func All() []Format { return all }

// Capabilities is what the converters have announced. Its zero value has received nothing yet. It is safe for
// concurrent use.
type Capabilities struct {
	mu         sync.Mutex
	converters map[string]converter
	// formats is what all of them support; nil after a change. It is cached because every upload needs it: computing it
	// for each upload halved the rate of submissions.
	formats []Format
}

// converter is what one converter has announced.
type converter struct {
	// targets are the identifiers of targets, by that of the source format.
	targets map[string][]string
	// slots is how many conversions it makes at once, and seconds how long each takes; 0 if that is not known.
	slots   int32
	seconds float64
	until   time.Time
}

// maxValidity is the longest time for which an announcement is valid. Converters repeat it every 20 s.
const maxValidity = 5 * time.Minute

func (c converter) supports(source, target string) bool {
	return slices.Contains(c.targets[source], target)
}

// Handler returns the handler for the queue message.Announcements.
func (c *Capabilities) Handler() message.Handler {
	return message.Each{Concurrency: 1, Handle: c.handle}
}

func (c *Capabilities) handle(_ context.Context, d *message.Delivery) message.Outcome {
	body, err := d.Message()
	announcement, ok := body.(*conversionv1.ConverterAnnounced)
	if err != nil || !ok {
		return message.DeadLetter // from a newer Docmill; a dead announcement is dropped
	}
	c.learn(announcement, time.Now())
	return message.Ack
}

func (c *Capabilities) learn(announcement *conversionv1.ConverterAnnounced, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(now)
	if c.converters == nil {
		c.converters = map[string]converter{}
	}
	c.converters[announcement.GetConverterId()] = converter{
		targets: targetsOf(announcement), slots: announcement.GetSlots(), seconds: announcement.GetConversionSeconds(),
		until: now.Add(min(announcement.GetValidFor().AsDuration(), maxValidity)),
	}
	c.formats = nil
}

// targetsOf returns the targets that a converter announces, by source format.
func targetsOf(announcement *conversionv1.ConverterAnnounced) map[string][]string {
	targets := map[string][]string{}
	for _, capability := range announcement.GetCapabilities() {
		targets[capability.GetSourceFormat()] = capability.GetTargetFormats()
	}
	if len(targets) > 0 {
		return targets
	}
	for _, id := range announcement.GetSourceFormats() {
		if f, known := format.ByID(id); known {
			targets[id] = unannouncedTargets[f.Family]
		}
	}
	return targets
}

// unannouncedTargets are the targets of converters that announce source formats only: those of the last release
// without ConverterAnnounced.capabilities, by family. The list is frozen. A target that is added to the table after
// that release must not be added here: while such a converter is running, jobs for the new target would reach it and
// fail permanently.
//
// It can be removed when no converter of that release can be part of a rolling update any more.
var unannouncedTargets = map[format.Family][]string{
	format.Presentation: {"pdf", "pptx", "ppt", "odp", "png", "jpeg", "webp", "svg", "thumbnail"},
	format.Text:         {"pdf", "docx", "doc", "odt", "rtf", "txt", "html", "png", "jpeg", "webp", "svg", "thumbnail"},
	format.Spreadsheet:  {"pdf", "xlsx", "ods", "csv", "png", "jpeg", "webp", "svg", "thumbnail"},
	format.Drawing:      {"pdf", "odg", "png", "jpeg", "webp", "svg", "thumbnail"},
}

// forget removes the converters whose announcements have expired.
func (c *Capabilities) forget(now time.Time) {
	for id, converter := range c.converters {
		if converter.until.Before(now) {
			delete(c.converters, id)
			c.formats = nil
		}
	}
}

// Formats returns what every running converter supports, because a job goes to any of them. While none is known, for
// example because all of them are down, it returns all formats: the jobs wait. The slice must not be modified.
func (c *Capabilities) Formats() []Format { return c.formatsAt(time.Now()) }

func (c *Capabilities) formatsAt(now time.Time) []Format {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(now)
	if c.formats == nil {
		c.formats = supported(c.converters)
	}
	return c.formats
}

// Rate returns how many conversions per second all running converters make together, according to their announcements. It
// is 0 if that is not known. A converter that has not converted anything yet counts as being as fast as the others.
func (c *Capabilities) Rate() float64 { return c.rateAt(time.Now()) }

func (c *Capabilities) rateAt(now time.Time) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(now)
	var rate float64
	var measured, waiting int32 // slots
	for _, converter := range c.converters {
		switch {
		case converter.slots <= 0:
			return 0
		case converter.seconds > 0:
			rate += float64(converter.slots) / converter.seconds
			measured += converter.slots
		default:
			waiting += converter.slots
		}
	}
	if measured == 0 {
		return 0
	}
	return rate * float64(measured+waiting) / float64(measured)
}

// supported returns the formats and targets that all converters support.
func supported(converters map[string]converter) []Format {
	var formats []Format
	for f := range format.All() {
		targets := slices.DeleteFunc(slices.Collect(f.Targets()), func(target format.Target) bool {
			for _, converter := range converters {
				if !converter.supports(f.ID, target.ID) {
					return true
				}
			}
			return false
		})
		if len(targets) > 0 {
			formats = append(formats, Format{Format: f, targets: targets})
		}
	}
	return formats
}
