package postgres

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
)

// Delays between attempts to reach a database that does not answer.
const (
	firstDelay = 100 * time.Millisecond
	maxDelay   = 5 * time.Second
)

// retry waits between attempts, with growing delays, and logs an outage once, and again whenever its reason changes.
type retry struct {
	log     *zap.Logger
	message string
	delays  backoff.ExponentialBackOff
	lastErr string
}

func newRetry(log *zap.Logger, message string) *retry {
	return &retry{log: log, message: message, delays: backoff.ExponentialBackOff{
		InitialInterval: firstDelay, Multiplier: 2, MaxInterval: maxDelay, RandomizationFactor: 0.5,
	}}
}

// reset makes the next failure count as the first one.
func (r *retry) reset() {
	r.delays.Reset()
	r.lastErr = ""
}

// failed logs the error and waits until the next attempt. It returns false if ctx ends first.
func (r *retry) failed(ctx context.Context, err error) bool {
	if text := err.Error(); text != r.lastErr {
		r.lastErr = text
		r.log.Warn(r.message, zap.Error(err))
	}
	timer := time.NewTimer(r.delays.NextBackOff())
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
