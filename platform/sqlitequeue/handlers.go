package sqlitequeue

import (
	"context"

	"github.com/docmill/docmill/contract/message"
)

// each handles deliveries one by one.
type each struct{ message.Each }

func (e each) limit() int { return 1 }

func (e each) handle(ctx, _ context.Context, c *consumer, deliveries []delivery) []settlement {
	outcome := c.handler.Each(ctx, e.Each, deliveries[0].Delivery)
	// A delivery that is abandoned counts: it may be what kept the handler busy.
	return settleAll(deliveries, outcome, outcome == message.Requeue && ctx.Err() != nil)
}

// batches handles deliveries in batches.
type batches struct{ message.Batches }

func (b batches) limit() int { return b.Max }

func (b batches) handle(ctx, stop context.Context, c *consumer, deliveries []delivery) []settlement {
	batch := make([]*message.Delivery, len(deliveries))
	for i, d := range deliveries {
		batch[i] = d.Delivery
	}
	if err := c.handler.Batch(ctx, stop, b.Batches, batch); err != nil {
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
