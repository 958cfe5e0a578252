package conversion

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/docmill/docmill/platform/seal"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// streak counts the attempts that failed one after another, and with any document would have. A converter that fails at
// everything fails faster than others work, so it would get most of the queue: after a few failures it is sick, and rests after
// each further failure until an attempt succeeds. No document can make a converter sick, and no password can: a converter without
// the right key fails only at jobs with passwords. (Deps.Space detects a disk that was not filled by documents.) It is safe for
// concurrent use.
type streak struct {
	mu       sync.Mutex
	failures int
	// rested is when the rest after the last failure is over.
	rested time.Time
}

const (
	// sickAfter is how many failures in a row make a converter sick.
	sickAfter = 3
	// firstRest and maxRest bound the time that a sick converter rests; it doubles with each failure.
	firstRest, maxRest = time.Second, 30 * time.Second
)

// errResting means that this converter makes no attempts for a while, because too many in a row have failed.
var errResting = errors.New("too many attempts in a row failed")

// ended counts the end of an attempt.
func (s *streak) ended(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil, documentFailed(err):
		s.failures, s.rested = 0, time.Time{}
	case errors.Is(err, errSuspicious), errors.Is(err, errUncertain), errors.Is(err, sandbox.ErrKilled), errors.Is(err, engine.ErrNoSpace),
		errors.Is(err, seal.ErrNoKey), errors.Is(err, seal.ErrBroken):
	default:
		if s.failures++; s.failures >= sickAfter {
			const doublings = 5 // 32 s
			s.rested = time.Now().Add(min(firstRest<<min(s.failures-sickAfter, doublings), maxRest))
		}
	}
}

func (s *streak) sick() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures >= sickAfter
}

// resting returns an errResting while a sick converter rests.
func (s *streak) resting() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.rested) {
		return fmt.Errorf("%w: %d", errResting, s.failures)
	}
	return nil
}
