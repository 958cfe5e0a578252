// Package offer knows what can be converted now: what every converter that is at work can read. They say so on the exchange
// of announcements, as it depends on the LibreOffice beside them.
package offer

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/platform/broker"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// everything is the whole table of formats. It is handed out and must not be modified.
var everything = slices.Collect(format.All())

// Offer is what the converters have said. Its zero value has heard nothing yet. It is safe for concurrent use.
type Offer struct {
	mu         sync.Mutex
	converters map[string]announced
}

type announced struct {
	formats []string
	until   time.Time
}

// Handle is a broker.EachHandler for announcements.
func (o *Offer) Handle(_ context.Context, d *broker.Delivery) broker.Outcome {
	message, err := d.Message()
	announcement, ok := message.(*conversionv1.ConverterAnnounced)
	if err != nil || !ok {
		return broker.DeadLetter // of a newer Docmill; the queue has no dead letters, so it is dropped
	}
	o.hear(announcement, time.Now())
	return broker.Ack
}

func (o *Offer) hear(announcement *conversionv1.ConverterAnnounced, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget(now)
	if o.converters == nil {
		o.converters = map[string]announced{}
	}
	o.converters[announcement.GetConverterId()] = announced{
		formats: announcement.GetSourceFormats(), until: now.Add(announcement.GetValidFor().AsDuration()),
	}
}

// forget leaves out who has not been heard for too long.
func (o *Offer) forget(now time.Time) {
	for id, converter := range o.converters {
		if converter.until.Before(now) {
			delete(o.converters, id)
		}
	}
}

// Formats lists what every converter at work can read: a job goes to any of them. While none is known, as when all of them
// are down, it is the whole table: their jobs wait. The slice must not be modified.
func (o *Offer) Formats() []format.Format { return o.formats(time.Now()) }

func (o *Offer) formats(now time.Time) []format.Format {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget(now)
	if !slices.ContainsFunc(everything, o.unreadable) {
		return everything
	}
	return slices.DeleteFunc(slices.Clone(everything), o.unreadable)
}

// unreadable reports whether some converter cannot read a format.
func (o *Offer) unreadable(f format.Format) bool {
	for _, converter := range o.converters {
		if !slices.Contains(converter.formats, f.ID) {
			return true
		}
	}
	return false
}
