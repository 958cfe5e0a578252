// Package handling calls the handlers of consumers. It contains what is the same for every broker: the wait for a
// handler that is not ready, the retries of a failing batch, the measurements and the spans.
package handling

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/brokermetrics"
	"github.com/docmill/docmill/platform/brokertrace"
	"github.com/docmill/docmill/platform/retry"
)

// Caller calls the handler of one consumer. It is safe for concurrent use.
type Caller struct {
	Queue   message.Queue
	Options message.ConsumerOptions
	Metrics brokermetrics.Consumer
	Tracer  brokertrace.Tracer
	Log     *zap.Logger
}

// Delays between the calls of Ready, and the limit of each call.
const (
	firstReadyDelay = 50 * time.Millisecond
	maxReadyDelay   = 2500 * time.Millisecond
	readyTimeout    = 3 * time.Second
)

// AwaitReady waits until the handler can work. It returns the cause of ctx if that ends first.
func (c Caller) AwaitReady(ctx context.Context) error {
	if c.Options.Ready == nil {
		return nil
	}
	policy := retry.Policy{Initial: firstReadyDelay, Max: maxReadyDelay}
	return retry.Loop(ctx, policy, c.Log, "consumer paused: handler not ready", func(ctx context.Context) error {
		asking, cancel := context.WithTimeout(ctx, readyTimeout)
		defer cancel()
		return c.Options.Ready(asking)
	})
}

// Each calls the handler of one delivery.
func (c Caller) Each(ctx context.Context, h message.Each, d *message.Delivery) message.Outcome {
	defer c.measure()()
	ctx, span := c.Tracer.Process(d.Context(ctx), c.Queue, d)
	defer span.End()
	outcome := h.Handle(ctx, d)
	span.SetAttributes(brokertrace.Outcome(outcome))
	return outcome
}

// Delays between the tries of a failing batch: after an outage of what the handler writes to, the batch is applied
// within seconds, not minutes.
const (
	firstRetry = 100 * time.Millisecond
	maxRetry   = 2500 * time.Millisecond
)

// Batch calls the handler of a batch until it succeeds, for at most Options.RetryFor. stop ends the retries, but not
// the handler, which ends with ctx.
//
// Returning a batch to its queue at the first failure would count one delivery each time: a database outage of a few
// minutes would exhaust the queue's delivery limit and dead-letter events that are fine.
func (c Caller) Batch(ctx, stop context.Context, h message.Batches, batch []*message.Delivery) error {
	c.Metrics.Batch.Observe(float64(len(batch)))
	policy := retry.Policy{Initial: firstRetry, Max: maxRetry, GiveUp: c.Options.RetryFor}
	return retry.Loop(stop, policy, c.Log, "batch failed; retrying", func(context.Context) error {
		return c.try(ctx, h, batch)
	})
}

func (c Caller) try(ctx context.Context, h message.Batches, batch []*message.Delivery) error {
	defer c.measure()()
	for _, d := range batch {
		d.Reset()
	}
	ctx, end := c.Tracer.ProcessBatch(ctx, c.Queue, batch)
	err := h.Handle(ctx, batch)
	end(err)
	return err
}

// measure returns a function to call at the end of a call of the handler.
func (c Caller) measure() func() {
	began := time.Now()
	return func() { c.Metrics.Duration.Observe(time.Since(began).Seconds()) }
}
