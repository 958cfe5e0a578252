// Package fleet keeps track of the running converters: what they support, and how fast they are. They announce it, because
// it depends on their release and on the LibreOffice that is installed with them.
package fleet

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/docmill/docmill/contract/message"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

const (
	// Interval is the time between two announcements of a converter.
	Interval = 20 * time.Second
	// settleTime is how long after the first announcement the announcements of other converters may still be missing.
	settleTime = Interval + Interval/4
	// maxValidity is the longest time for which an announcement is valid.
	maxValidity = 5 * time.Minute
	// absence is how long a converter that has left is expected to come back: it may have been replaced by a new release, or be
	// disconnected.
	absence = 6 * time.Minute
)

// LeavesToOthers is the contract version of converters that leave a command to others if they do not support all of it.
// Converters of version 0 ignore options that they do not know, and permanently fail jobs whose formats they do not
// know.
const LeavesToOthers = 1

// Fleet holds what the running converters have announced. The zero value is ready to use and holds nothing. It is safe
// for concurrent use.
type Fleet struct {
	// Single means that there is only one converter. Otherwise it takes a while until all of them have announced themselves.
	Single bool

	mu         sync.Mutex
	converters map[string]converter
	// settled is the time by which all of them have announced themselves.
	settled time.Time
	// left is when a converter was last found to have left.
	left time.Time
	// offer is the cached offer of all converters, valid until recheck; nil after a change. Every upload needs it:
	// computing it for each upload halved the rate of submissions.
	offer   *Offer
	recheck time.Time
}

// converter is what one converter has announced.
type converter struct {
	// targets are the identifiers of the targets, by the identifier of the source format.
	targets map[string][]string
	// options are the values of the options, by name; nil for an option without a fixed set of values.
	options map[string][]string
	// leaves means that it leaves commands that it does not support to other converters.
	leaves bool
	// slots is the number of concurrent conversions, and seconds is how long each takes; 0 if unknown.
	slots   int32
	seconds float64
	until   time.Time
	// build identifies what its results depend on; nil if unknown.
	build []byte
}

func (c converter) converts(source, target string) bool {
	return slices.Contains(c.targets[source], target)
}

// knows reports whether the converter knows an option, and a value of it unless that is empty.
func (c converter) knows(name, value string) bool {
	values, known := c.options[name]
	return known && (value == "" || slices.Contains(values, value))
}

// Handler returns the handler for the queue message.Announcements.
func (f *Fleet) Handler() message.Handler {
	return message.Each{Concurrency: 1, Handle: f.Handle}
}

// Handle handles an announcement.
func (f *Fleet) Handle(_ context.Context, d *message.Delivery) message.Outcome {
	body, err := d.Message()
	announcement, ok := body.(*conversionv1.ConverterAnnounced)
	if err != nil || !ok {
		return message.DeadLetter // from a newer release; a dead-lettered announcement is dropped
	}
	f.learn(announcement, time.Now())
	return message.Ack
}

func (f *Fleet) learn(announcement *conversionv1.ConverterAnnounced, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(now)
	if len(f.converters) == 0 {
		f.converters, f.settled = map[string]converter{}, now
		if !f.Single {
			f.settled = now.Add(settleTime)
		}
	}
	f.converters[announcement.GetConverterId()] = converter{
		targets: announcedTargets(announcement), options: announcedOptions(announcement),
		leaves: announcement.GetContractVersion() >= LeavesToOthers,
		slots:  announcement.GetSlots(), seconds: announcement.GetConversionSeconds(),
		build: announcement.GetBuild(),
		until: now.Add(min(announcement.GetValidFor().AsDuration(), maxValidity)),
	}
	f.offer = nil
}

// forget removes the converters whose announcements have expired.
func (f *Fleet) forget(now time.Time) {
	for id, converter := range f.converters {
		if converter.until.Before(now) {
			delete(f.converters, id)
			f.offer, f.left = nil, now
		}
	}
}

// complete reports whether all running converters have announced themselves.
func (f *Fleet) complete(now time.Time) bool { return len(f.converters) > 0 && !now.Before(f.settled) }

// Answer is the answer to a question about the running converters.
type Answer int

// The answers.
const (
	// Unknown means that not all converters have announced themselves yet, or that one has left within the last minutes.
	Unknown Answer = iota
	Yes
	No
)

// Converts reports whether a running converter converts documents of the source format to the target.
func (f *Fleet) Converts(source, target string) Answer {
	return f.any(time.Now(), func(c converter) bool { return c.converts(source, target) })
}

// Builds returns the builds of the running converters that convert documents of the source format to the target, each once.
func (f *Fleet) Builds(source, target string) [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(time.Now())
	var builds [][]byte
	for _, converter := range f.converters {
		known := slices.ContainsFunc(builds, func(b []byte) bool { return bytes.Equal(b, converter.build) })
		if len(converter.build) > 0 && !known && converter.converts(source, target) {
			builds = append(builds, converter.build)
		}
	}
	return builds
}

// HasNewer reports whether a running converter knows options, or values of options, that this release does not know.
func (f *Fleet) HasNewer() Answer {
	own := ownOptions()
	return f.any(time.Now(), func(c converter) bool { return exceeds(c.options, own) })
}

func (f *Fleet) any(now time.Time, is func(converter) bool) Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(now)
	for _, converter := range f.converters {
		if is(converter) {
			return Yes
		}
	}
	if !f.complete(now) || now.Before(f.left.Add(absence)) {
		return Unknown
	}
	return No
}

// Rate returns the number of conversions per second of all running converters together, according to their announcements.
// It is 0 if unknown. A converter that has not converted anything yet counts as being as fast as the others.
func (f *Fleet) Rate() float64 { return f.rateAt(time.Now()) }

func (f *Fleet) rateAt(now time.Time) float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(now)
	var rate float64
	var measured, waiting int32 // slots
	for _, converter := range f.converters {
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
