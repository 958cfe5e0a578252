package conversion

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/docmill/docmill/services/converter/internal/engine"
)

// slots are the places for attempts of a converter. Deliveries that wait get a place in the order in which they came, so
// neither new commands nor returned ones starve.
type slots struct {
	all  int64
	free *semaphore.Weighted
	// isolation is held by the delivery that waits for all slots or holds them.
	isolation *semaphore.Weighted
	// used is how many slots are in use.
	used atomic.Int64
}

func newSlots(n int) *slots {
	all := int64(max(n, 1))
	return &slots{all: all, free: semaphore.NewWeighted(all), isolation: semaphore.NewWeighted(1)}
}

const (
	// slotTimeout is how long a delivery waits for a slot before its command is left to another converter: DeliveryTimeout
	// minus engine.AttemptTimeout.
	slotTimeout = DeliveryTimeout - engine.AttemptTimeout
	// isolationTimeout is how long a suspect waits for all slots. Most conversions take less time, so a suspect does not starve.
	// Deliveries that wait behind it are left to other converters earlier.
	isolationTimeout = 15 * time.Minute
)

var (
	// errNoSlot means that no slot was free in time.
	errNoSlot = errors.New("no slot was free in time")
	// errSuspectHeld means that this converter holds another suspect. If the converter died, both would be lost, and it
	// would be unknown which one was the cause.
	errSuspectHeld = errors.New("another suspect is converted first")
)

// acquire waits for a slot. The error is the cause of ctx, or errNoSlot.
func (s *slots) acquire(ctx context.Context) (release func(), err error) {
	return s.places(ctx, 1, slotTimeout)
}

// isolate waits for all slots, so that nothing else runs until release is called. The error is the cause of ctx, errNoSlot, or,
// without waiting, errSuspectHeld.
func (s *slots) isolate(ctx context.Context) (release func(), err error) {
	if !s.isolation.TryAcquire(1) {
		return nil, errSuspectHeld
	}
	free, err := s.places(ctx, s.all, isolationTimeout)
	if err != nil {
		s.isolation.Release(1)
		return nil, err
	}
	return func() { free(); s.isolation.Release(1) }, nil
}

func (s *slots) places(ctx context.Context, n int64, timeout time.Duration) (release func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errNoSlot)
	defer cancel()
	if s.free.Acquire(ctx, n) != nil {
		return nil, context.Cause(ctx)
	}
	s.used.Add(n)
	return func() {
		s.used.Add(-n)
		s.free.Release(n)
	}, nil
}
