package watermark

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/host"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// Clock is the clock of the job store. It returns an error while the store cannot apply events: marks would only
// accumulate in the queue.
type Clock interface {
	Now(ctx context.Context) (time.Time, error)
}

// Marker publishes marks. Any number of replicas may do so.
type Marker struct {
	// Every is the time between two marks.
	Every     time.Duration
	Clock     Clock
	Publisher message.Publisher
	Log       *zap.Logger
}

// Run publishes a mark at once and then periodically, until drain is closed. It is a component of package host.
func (m *Marker) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	ctx, stop := host.Context(ctx, drain)
	defer stop()
	ready()
	timer := time.NewTimer(0)
	defer timer.Stop()
	failing := false
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		err := m.mark(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			m.Log.Warn("cannot mark the queue of the events; retrying", zap.Error(err))
		}
		failing = err != nil
		timer.Reset(m.Every)
	}
}

func (m *Marker) mark(ctx context.Context) error {
	now, err := m.Clock.Now(ctx)
	if err != nil {
		return fmt.Errorf("read the clock of the job store: %w", err)
	}
	return m.Publisher.Publish(ctx, message.Message{Body: &conversionv1.StatusMarked{MarkedAt: timestamppb.New(now)}})
}
