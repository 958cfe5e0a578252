package conversion

import (
	"context"
	"errors"

	"golang.org/x/sync/semaphore"

	"github.com/docmill/docmill/services/converter/internal/engine"
)

// slots are the places for attempts of a converter. Deliveries that wait get a place in the order in which they came, so
// neither new commands nor returned ones starve.
type slots struct {
	all  int64
	free *semaphore.Weighted
}

func newSlots(n int) *slots {
	all := int64(max(n, 1))
	return &slots{all: all, free: semaphore.NewWeighted(all)}
}

// slotTimeout is how long a delivery waits for a place before its command is left to another converter: DeliveryTimeout
// minus engine.AttemptTimeout.
const slotTimeout = DeliveryTimeout - engine.AttemptTimeout

// errNoSlot means that no slot was free in time.
var errNoSlot = errors.New("no slot was free in time")

// acquire waits for a place, or for all of them: until nothing else runs, and then nothing else starts before release is
// called. The error is the cause of ctx, or errNoSlot.
func (s *slots) acquire(ctx context.Context, all bool) (release func(), err error) {
	places := int64(1)
	if all {
		places = s.all
	}
	ctx, cancel := context.WithTimeoutCause(ctx, slotTimeout, errNoSlot)
	defer cancel()
	if s.free.Acquire(ctx, places) != nil {
		return nil, context.Cause(ctx)
	}
	return func() { s.free.Release(places) }, nil
}
