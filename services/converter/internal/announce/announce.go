// Package announce tells the gateways again and again that this converter is at work, and what it can read.
package announce

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/platform/broker"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

const (
	// interval is how often it is told: how long a gateway that has just started may offer what no converter reads.
	interval = 20 * time.Second
	// validFor outlives two announcements that are lost.
	validFor = 3*interval + interval/2
)

// Publisher publishes a message.
type Publisher interface {
	Publish(ctx context.Context, message broker.Message) error
}

// Announcer is a part of the converter.
type Announcer struct {
	// Publisher is what it speaks through.
	Publisher Publisher
	// Formats are those that the converter can read.
	Formats []format.Format
	Log     *zap.Logger
}

// Run announces until drain is closed or ctx ends. It has the shape of a host.Component's Run.
func (a Announcer) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	message := &conversionv1.ConverterAnnounced{ConverterId: uuid.NewString(), ValidFor: durationpb.New(validFor)}
	for _, format := range a.Formats {
		message.SourceFormats = append(message.SourceFormats, format.ID)
	}
	ready()
	again := time.NewTicker(interval)
	defer again.Stop()
	for {
		err := a.Publisher.Publish(ctx, broker.Message{Body: message})
		if err != nil && !errors.Is(err, broker.ErrUnroutable) { // no gateway listens, which is no fault
			a.Log.Debug("an announcement is not published; the next one follows", zap.Error(err))
		}
		select {
		case <-again.C:
		case <-drain:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}
