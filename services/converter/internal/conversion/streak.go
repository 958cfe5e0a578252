package conversion

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// streak counts the attempts that failed one after another, and with any document would have. A converter that fails at
// everything fails faster than others work, so it would get most of the queue: after a few failures it is sick, and makes
// attempts only now and then until one succeeds. No document can make a converter sick. (A full disk that no document has
// filled is noticed by Deps.Space.)
type streak struct{ failures atomic.Int64 }

const (
	// sickAfter is how many failures in a row make a converter sick.
	sickAfter = 3
	// firstPause and maxPause bound the time that a sick converter waits before each attempt; it doubles with each failure.
	firstPause, maxPause = time.Second, 30 * time.Second
)

// ended counts the end of an attempt.
func (s *streak) ended(err error) {
	switch {
	case err == nil, documentFailed(err):
		s.failures.Store(0)
	case errors.Is(err, errSuspicious), errors.Is(err, sandbox.ErrKilled), errors.Is(err, engine.ErrNoSpace):
	default:
		s.failures.Add(1)
	}
}

func (s *streak) sick() bool { return s.failures.Load() >= sickAfter }

// pause waits for as long as a sick converter should before an attempt.
func (s *streak) pause(ctx context.Context) error {
	beyond := s.failures.Load() - sickAfter
	if beyond < 0 {
		return nil
	}
	const doublings = 5 // 32 s
	timer := time.NewTimer(min(firstPause<<min(beyond, doublings), maxPause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
