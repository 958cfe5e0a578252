package broker

import (
	"context"
	"sync"
	"time"
)

// Outcome is what becomes of a delivery whose handler has returned.
type Outcome int

const (
	// Release gives the delivery back to its queue, to be delivered again at once, to anybody. It is for a worker that
	// cannot go on, not for a message that failed: from RabbitMQ 4.3 on it no longer counts against the delivery limit,
	// so a message that is released by everybody circles for ever. Publish a failed one to a step of the ladder and
	// acknowledge it instead.
	Release Outcome = iota
	// Ack is for a delivery whose effect is durable.
	Ack
	// DeadLetter is for a delivery that is wrong for good: it goes to the queue's dead letters.
	DeadLetter
)

// String gives the outcome's name in metrics and logs.
func (o Outcome) String() string {
	switch o {
	case Ack:
		return "acked"
	case DeadLetter:
		return "dead_lettered"
	default:
		return "released"
	}
}

// EachHandler handles one delivery. Its ctx carries the message's trace and ends when the connection of the delivery is
// lost, with ErrLost as its cause: the delivery comes again then, possibly to another process while this handler still
// runs, so it should stop at once. It also ends when a drain has taken too long.
type EachHandler func(ctx context.Context, d *Delivery) Outcome

// Each handles deliveries one by one, up to concurrency of them at the same time. That is the prefetch as well: a
// delivery is only ever taken by somebody who begins with it, because when a consumer dies each one that it holds counts as
// delivered once more.
func Each(concurrency int, handle EachHandler) Work {
	return each{concurrency: max(concurrency, 1), handle: handle}
}

type each struct {
	concurrency int
	handle      EachHandler
}

func (e each) prefetch() int { return e.concurrency }

func (e each) serve(sub *subscription) error {
	ctx, cancel := sub.context()
	defer cancel()
	var handlers sync.WaitGroup // never more than the prefetch: the broker sends no more before one is settled
	for {
		if sub.draining() {
			sub.unsubscribe(sub.deliveries)
			handlers.Wait()
			return nil
		}
		select {
		case <-sub.drain:
		case d, open := <-sub.deliveries:
			if !open {
				err := sub.session.lost() // ends ctx
				handlers.Wait()
				return err
			}
			delivery := newDelivery(&d)
			handlers.Go(func() { e.one(ctx, sub, delivery) })
		}
	}
}

func (e each) one(ctx context.Context, sub *subscription, d *Delivery) {
	sub.metrics.inHand.Inc()
	defer sub.metrics.inHand.Dec()
	began := time.Now()
	outcome := e.handle(d.Context(ctx), d)
	sub.metrics.duration.Observe(time.Since(began).Seconds())
	sub.settle(d, outcome)
}
