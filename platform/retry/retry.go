// Package retry repeats what fails until it succeeds, with growing delays, and logs an outage once per distinct reason.
package retry

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
)

// Policy defines the delays between tries. Delays double from Initial to Max, with full jitter: each is anything from
// zero to twice its interval, so that the instances of a service do not all retry at the same moment.
type Policy struct {
	Initial, Max time.Duration
	// GiveUp, if positive, limits the total time of all tries.
	GiveUp time.Duration
	// Stable is for [Keep]: how long serve must have run before the next delay is Initial again. Work that starts and
	// fails repeatedly must not become a hot loop.
	Stable time.Duration
}

// Permanent wraps an error that is not worth another try. [Loop] and [Keep] return the error itself.
func Permanent(err error) error { return backoff.Permanent(err) }

// Loop calls op until it returns nil, and then returns nil. It returns the last error if that is permanent or the
// policy gives up, and the cause of ctx if that ends first. Failures that are followed by another try are logged,
// once per distinct reason in a row.
func Loop(ctx context.Context, policy Policy, log *zap.Logger, what string, op func(ctx context.Context) error) error {
	return Keep(ctx, policy, log, what, func(ctx context.Context, _ func()) error { return op(ctx) })
}

// Keep is Loop for something that works for a while and then fails, such as a connection. serve calls up when it works:
// the outage is over, and the next failure is logged even if its reason is the same.
func Keep(
	ctx context.Context, policy Policy, log *zap.Logger, what string, serve func(ctx context.Context, up func()) error,
) error {
	delays := &backoff.ExponentialBackOff{
		InitialInterval: policy.Initial, MaxInterval: policy.Max, Multiplier: 2, RandomizationFactor: 1,
	}
	lastErr := ""
	notify := func(err error, _ time.Duration) {
		if text := err.Error(); text != lastErr {
			lastErr = text
			log.Warn(what, zap.Error(err))
		}
	}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		began := time.Now()
		err := serve(ctx, func() { lastErr = "" })
		if policy.Stable > 0 && time.Since(began) >= policy.Stable {
			delays.Reset()
		}
		return struct{}{}, err
	}, backoff.WithBackOff(delays), backoff.WithMaxElapsedTime(policy.GiveUp), backoff.WithNotify(notify))
	return err
}
