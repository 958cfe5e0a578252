package sqlitequeue

import (
	"context"
	"time"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/retry"
)

// each handles deliveries one by one.
type each struct{ message.Each }

func (e each) limit() int { return 1 }

func (e each) handle(ctx, _ context.Context, c *consumer, deliveries []delivery) []settlement {
	d := deliveries[0]
	began := time.Now()
	outcome := e.Handle(d.Context(ctx), d.Delivery)
	c.metrics.Duration.Observe(time.Since(began).Seconds())
	// A delivery that is abandoned counts: it may be what kept the handler busy.
	return settleAll(deliveries, outcome, outcome == message.Requeue && ctx.Err() != nil)
}

// batches handles deliveries in batches.
type batches struct{ message.Batches }

func (b batches) limit() int { return b.Max }

// handle retries a failing batch for ConsumerOptions.RetryFor. Returning it at the first failure would count one
// delivery each time: a database outage of a few minutes would exhaust the queue's delivery limit and dead-letter
// events that are fine.
func (b batches) handle(ctx, stop context.Context, c *consumer, deliveries []delivery) []settlement {
	c.metrics.Batch.Observe(float64(len(deliveries)))
	policy := retry.Policy{Initial: firstRetry, Max: maxRetry, GiveUp: c.options.RetryFor}
	// stop ends the retries, not the handler.
	err := retry.Loop(stop, policy, c.log, "batch failed; retrying", func(context.Context) error {
		return b.attempt(ctx, c, deliveries)
	})
	if err != nil {
		drained := stop.Err() != nil && ctx.Err() == nil
		return settleAll(deliveries, message.Requeue, !drained)
	}
	settlements := settleAll(deliveries, message.Ack, false)
	for i, d := range deliveries {
		if d.DeadLettered() {
			settlements[i].outcome = message.DeadLetter
		}
	}
	return settlements
}

func (b batches) attempt(ctx context.Context, c *consumer, deliveries []delivery) error {
	batch := make([]*message.Delivery, len(deliveries))
	for i, d := range deliveries {
		d.Reset()
		batch[i] = d.Delivery
	}
	began := time.Now()
	defer func() { c.metrics.Duration.Observe(time.Since(began).Seconds()) }()
	return b.Handle(ctx, batch)
}
