package broker

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
)

// Delays between the attempts at a batch that fails, with full jitter: an outage of what the handler writes to ends
// seconds, not minutes, before the batch is applied.
const (
	firstRetry = 100 * time.Millisecond
	maxRetry   = 2500 * time.Millisecond
)

// BatchHandler handles deliveries together, in their order, and returns nil when the effect of all of them is durable; those that
// it has marked with DeadLetter are dead-lettered, the others acknowledged. On an error it is called again with the same
// batch: it must be able to find some of it applied already. Its ctx ends as that of an EachHandler does; traces are
// got from each delivery.
type BatchHandler func(ctx context.Context, batch []*Delivery) error

// Batches handles deliveries in batches of up to most of them: the first one that comes, and those that are there at once. It does not
// wait for more: under load batches grow by themselves while the one before is being handled.
//
// A batch whose handler fails is held and tried again, with growing delays, for ConsumerOptions.Hold; only then is the
// connection dropped, and everything that was not acknowledged comes again. Dropping it at the first failure would count
// one delivery for the failed messages and for all that wait behind them, so that an outage of the database of some minutes
// used up the queue's delivery limit and dead-lettered events that nothing is wrong with.
func Batches(most int, handle BatchHandler) Work {
	return batches{most: max(most, 1), handle: handle}
}

type batches struct {
	most   int
	handle BatchHandler
}

// prefetch lets a batch come in while the one before is being handled.
func (b batches) prefetch() int { return 2 * b.most }

func (b batches) serve(sub *subscription) error {
	ctx, cancel := sub.context()
	defer cancel()
	arrived := b.collect(sub.deliveries)
	for {
		if sub.draining() {
			sub.unsubscribe(arrived)
			return nil
		}
		select {
		case <-sub.drain:
		case d, open := <-arrived:
			if !open {
				return sub.session.lost()
			}
			if err := b.apply(ctx, sub, b.gather(&d, arrived)); err != nil {
				return err
			}
		}
	}
}

// collect buffers what has arrived, because the library hands deliveries over one by one and what it has waiting cannot be
// seen. The broker sends no more than the prefetch before something is settled, so the buffer is never full.
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

// gather adds to the first delivery those that are there.
func (b batches) gather(first *amqp.Delivery, arrived <-chan amqp.Delivery) []*Delivery {
	batch := []*Delivery{newDelivery(first)}
	for len(batch) < b.most {
		select {
		case d, open := <-arrived:
			if !open {
				return batch
			}
			batch = append(batch, newDelivery(&d))
		default:
			return batch
		}
	}
	return batch
}

// apply has the batch handled and settles it. An error ends the session.
func (b batches) apply(ctx context.Context, sub *subscription, batch []*Delivery) error {
	sub.metrics.batch.Observe(float64(len(batch)))
	sub.metrics.inHand.Set(float64(len(batch)))
	defer sub.metrics.inHand.Set(0)
	delays := &backoff.ExponentialBackOff{InitialInterval: firstRetry, Multiplier: 2, MaxInterval: maxRetry, RandomizationFactor: 1}
	giveUp := time.Now().Add(sub.hold)
	told := ""
	for {
		err := b.attempt(ctx, sub, batch)
		if err == nil {
			sub.settleBatch(batch)
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if text := err.Error(); text != told { // an outage is told once, and again when its reason changes
			told = text
			sub.log.Warn("a batch failed; trying it until it does not", zap.Int("deliveries", len(batch)), zap.Error(err))
		}
		if delay := delays.NextBackOff(); time.Now().Add(delay).After(giveUp) || !sub.pause(ctx, delay) {
			return err
		}
	}
}

func (b batches) attempt(ctx context.Context, sub *subscription, batch []*Delivery) error {
	for _, d := range batch {
		d.refused = false
	}
	began := time.Now()
	defer func() { sub.metrics.duration.Observe(time.Since(began).Seconds()) }()
	return b.handle(ctx, batch)
}

// pause waits, and says false when a drain or the session's end came first.
func (s *subscription) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.drain:
		return false
	case <-ctx.Done():
		return false
	}
}

// settleBatch dead-letters what was refused and acknowledges the rest with one frame.
func (s *subscription) settleBatch(batch []*Delivery) {
	accepted, last := 0, uint64(0)
	for _, d := range batch {
		if d.refused {
			s.settle(d, DeadLetter)
		} else {
			accepted, last = accepted+1, d.tag
		}
	}
	if accepted == 0 {
		return
	}
	// Everything up to the last accepted one: earlier batches and the refused are settled already. Its own tag must be
	// an unsettled one, or the broker closes the channel.
	s.count(Ack, s.session.channel.Ack(last, true), accepted)
}
