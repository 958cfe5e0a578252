package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Retries are the limits of repeated requests.
//
// A request is repeated if the server refuses it for a reason that passes (503, 429 and 408), and a request that changes
// nothing also if the network or the server fails. The delays double from FirstDelay to MaxDelay, less a random part, so
// that clients do not come back all at once. A longer Retry-After of the server is obeyed; if it is longer than
// MaxDelay, the error is returned at once, and the caller decides. The context of the call limits all of this.
type Retries struct {
	// Tries is the maximum number of tries, including the first; 1 means that nothing is repeated. The default is 5. It
	// starts again after progress: a download ends after this many tries in a row that brought no data.
	Tries int
	// FirstDelay is before the second try. The default is 250 ms.
	FirstDelay time.Duration
	// MaxDelay is the longest delay between two tries. The default is 30 s.
	MaxDelay time.Duration
}

func defaultRetries() Retries {
	return Retries{Tries: 5, FirstDelay: 250 * time.Millisecond, MaxDelay: 30 * time.Second}
}

func (r Retries) or(others Retries) Retries {
	return Retries{
		Tries: cmp.Or(r.Tries, others.Tries), FirstDelay: cmp.Or(r.FirstDelay, others.FirstDelay), MaxDelay: cmp.Or(r.MaxDelay, others.MaxDelay),
	}
}

// backoff counts the tries in a row that failed.
type backoff struct {
	limits   Retries
	failures int
}

// wait returns nil when it is time for another try after err, and an error that wraps err if there is none.
func (b *backoff) wait(ctx context.Context, err error) error {
	b.failures++
	asked := time.Duration(0)
	if problem, ok := errors.AsType[*Problem](err); ok {
		asked = problem.RetryAfter
	}
	if b.failures >= b.limits.Tries || asked > b.limits.MaxDelay || ctx.Err() != nil {
		return err
	}
	select {
	case <-time.After(b.delay(asked)):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w, while waiting for another try after: %w", context.Cause(ctx), err)
	}
}

// delay returns a random time between half of the present delay and all of it. A time that the server asked for is
// never cut short, but prolonged by up to a quarter: other clients were asked for the same.
func (b *backoff) delay(asked time.Duration) time.Duration {
	delay := b.limits.FirstDelay
	for range b.failures - 1 {
		delay = min(2*delay, b.limits.MaxDelay)
	}
	low, high := max(asked, delay/2), max(asked+asked/4, delay)
	return low + rand.N(high-low+1) //nolint:gosec // the delay is not a secret
}

// reset is for progress.
func (b *backoff) reset() { b.failures = 0 }

// repeat calls try until it succeeds or fails for good. It must change nothing on the server.
func (c *Client) repeat(ctx context.Context, try func() error) error {
	tries := backoff{limits: c.retries}
	for {
		err := try()
		if err == nil || !passing(err) {
			return err
		}
		if err := tries.wait(ctx, err); err != nil {
			return err
		}
	}
}

// passing reports whether a request that changes nothing may succeed if it is repeated: all failures of the network
// may pass.
func passing(err error) bool {
	if errors.Is(err, errNotModified) {
		return false
	}
	problem, ok := errors.AsType[*Problem](err)
	return !ok || problem.temporary() || problem.faulty()
}
