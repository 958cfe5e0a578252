// Package presence announces to the gateways, periodically, that this converter is running and what it can convert.
package presence

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/docmill/docmill/contract/fleet"
	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/host"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/build"
	"github.com/docmill/docmill/services/converter/internal/pace"
)

const (
	// validFor covers two lost announcements.
	validFor = 3*fleet.Interval + fleet.Interval/2
	// publishTimeout limits one announcement. The next one follows soon, and a drain must not wait for a broker that is
	// down.
	publishTimeout = 2 * time.Second
)

// Publisher publishes a message; see [message.Publisher].
type Publisher interface {
	Publish(ctx context.Context, m message.Message) error
}

// Announcer is a component of the converter.
type Announcer struct {
	// Publisher publishes the announcements.
	Publisher Publisher
	// Formats are those that the converter can read. Each can be converted into all of its targets.
	Formats []format.Format
	// Slots is how many conversions the converter makes at once.
	Slots int
	// Pace is how long they take.
	Pace *pace.Average
	// Build identifies what the results depend on; nil if that is unknown.
	Build *build.Build
	Log   *zap.Logger
}

// Run announces until drain is closed. It is a component of package host.
func (a Announcer) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	announcement := a.announcement()
	return host.Every(fleet.Interval, func(ctx context.Context) {
		announcement.ConversionSeconds = a.Pace.Duration().Seconds()
		announcement.Build = a.Build.Check()
		a.publish(ctx, announcement)
	})(ctx, ready, drain)
}

func (a Announcer) publish(ctx context.Context, announcement *conversionv1.ConverterAnnounced) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	err := a.Publisher.Publish(ctx, message.Message{Body: announcement})
	if err != nil && !errors.Is(err, message.ErrUnroutable) { // no gateway is listening, which is fine
		a.Log.Debug("announcement not published; the next one follows", zap.Error(err))
	}
}

func (a Announcer) announcement() *conversionv1.ConverterAnnounced {
	announcement := &conversionv1.ConverterAnnounced{
		ConverterId: uuid.NewString(), ValidFor: durationpb.New(validFor), Slots: int32(a.Slots),
		Options: fleet.Options(), ContractVersion: fleet.LeavesToOthers,
	}
	for _, f := range a.Formats {
		capability := &conversionv1.Capability{SourceFormat: f.ID}
		for target := range f.Targets() {
			capability.TargetFormats = append(capability.TargetFormats, target.ID)
		}
		announcement.SourceFormats = append(announcement.SourceFormats, f.ID)
		announcement.Capabilities = append(announcement.Capabilities, capability)
	}
	return announcement
}
