package rabbitmq

import (
	"context"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/host"
)

// batches handles deliveries in batches.
//
// A failing batch is held and retried for ConsumerOptions.RetryFor. Only then is the connection dropped, and
// everything that was not acknowledged is delivered again. That counts one delivery for the failed messages and for all
// that wait behind them.
type batches struct{ message.Batches }

func newBatches(h message.Batches) batches {
	h.Max = max(h.Max, 1)
	return batches{h}
}

// prefetch lets a batch arrive while the previous one is being handled.
func (b batches) prefetch() int { return 2 * b.Max }

func (b batches) serve(sub *subscription) error {
	ctx, cancel := sub.context()
	defer cancel()
	arrived := b.collect(sub.deliveries)
	for {
		if sub.stopping() {
			sub.unsubscribe(arrived, func(d delivery) { sub.settle(d, message.Requeue) })
			return nil
		}
		select {
		case <-sub.drain:
		case <-sub.run.Done():
		case d, open := <-arrived:
			if !open {
				return sub.session.lost()
			}
			if err := b.apply(ctx, sub, b.gather(sub, &d, arrived)); err != nil {
				return err
			}
		}
	}
}

// collect buffers what has arrived, because the library hands deliveries over one by one and does not show what it has
// waiting. The broker sends no more than the prefetch before something is settled, so the buffer is never full.
func (b batches) collect(deliveries <-chan amqp.Delivery) <-chan amqp.Delivery {
	arrived := make(chan amqp.Delivery, b.prefetch())
	go func() {
		defer close(arrived)
		for d := range deliveries {
			arrived <- d
		}
	}()
	return arrived
}

// gather returns the first delivery and those that have arrived as well.
func (b batches) gather(sub *subscription, first *amqp.Delivery, arrived <-chan amqp.Delivery) []delivery {
	batch := []delivery{deliveryOf(sub.queue, first)}
	for len(batch) < b.Max {
		select {
		case d, open := <-arrived:
			if !open {
				return batch
			}
			batch = append(batch, deliveryOf(sub.queue, &d))
		default:
			return batch
		}
	}
	return batch
}

// apply calls the handler until it succeeds, and settles the batch. An error ends the session.
func (b batches) apply(ctx context.Context, sub *subscription, batch []delivery) error {
	inHand := sub.handler.Metrics.InHand
	inHand.Set(float64(len(batch)))
	defer inHand.Set(0)
	trying, cancel := host.Context(ctx, sub.drain) // a drain ends the retries, not the handler
	defer cancel()
	handed := make([]*message.Delivery, len(batch))
	for i, d := range batch {
		handed[i] = d.Delivery
	}
	if err := sub.handler.Batch(ctx, trying, b.Batches, handed); err != nil {
		return err
	}
	sub.settleBatch(batch)
	return nil
}

// settleBatch dead-letters what is marked and acknowledges the rest with one frame.
func (s *subscription) settleBatch(batch []delivery) {
	accepted, last := 0, uint64(0)
	for _, d := range batch {
		if d.DeadLettered() {
			s.settle(d, message.DeadLetter)
		} else {
			accepted, last = accepted+1, d.tag
		}
	}
	if accepted == 0 {
		return
	}
	// Everything up to the last accepted one: earlier batches and the dead-lettered ones are settled already. Its own
	// tag must be unsettled, or the broker closes the channel.
	s.count(message.Ack, s.session.channel.Ack(last, true), accepted)
}
