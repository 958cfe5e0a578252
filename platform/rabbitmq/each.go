package rabbitmq

import (
	"context"
	"sync"

	"github.com/docmill/docmill/contract/message"
)

// each handles deliveries one by one.
type each struct{ message.Each }

func newEach(h message.Each) each {
	h.Concurrency = max(h.Concurrency, 1)
	return each{h}
}

// prefetch is the concurrency: a delivery is only taken by a handler that starts on it.
func (e each) prefetch() int { return e.Concurrency }

func (e each) serve(sub *subscription) error {
	ctx, cancel := sub.context()
	defer cancel()
	var handlers sync.WaitGroup // never more than the prefetch: the broker sends no more before one is settled
	for {
		if sub.stopping() {
			sub.unsubscribe(sub.deliveries)
			handlers.Wait()
			return nil
		}
		select {
		case <-sub.drain:
		case <-sub.run.Done():
		case <-sub.session.ctx.Done(): // ends ctx
			handlers.Wait()
			return sub.session.lost()
		case d, open := <-sub.deliveries:
			switch {
			case open:
				delivery := deliveryOf(sub.queue, &d)
				handlers.Go(func() { e.one(ctx, sub, delivery) })
			case sub.suspended.Load():
				if err := sub.resume(ctx); err != nil {
					sub.session.lose(err)
				}
			default:
				<-sub.session.ctx.Done() // it is about to end
			}
		}
	}
}

func (e each) one(ctx context.Context, sub *subscription, d delivery) {
	inHand := sub.handler.Metrics.InHand
	inHand.Inc()
	defer inHand.Dec()
	outcome := sub.handler.Each(ctx, e.Each, d.Delivery)
	switch outcome {
	case message.Requeue:
		// The delivery would come back at once, fail again and be counted each time. It is kept until the handler can work; its
		// session may end before.
		_ = sub.handler.AwaitReady(ctx)
	case message.Suspend:
		sub.suspend() // before the broker sends the next delivery
	default:
	}
	sub.settle(d, outcome)
}
