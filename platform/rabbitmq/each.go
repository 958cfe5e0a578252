package rabbitmq

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/host"
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
	in := &inHand{sub: sub, unsubscribed: make(chan struct{})}
	defer in.handlers.Wait() // never more than the prefetch: the broker sends no more before one is settled
	handle := func(d delivery) { in.handle(func() { e.one(ctx, in, d) }) }
	for {
		if sub.stopping() {
			e.saturate(in, handle)
			sub.unsubscribe(sub.deliveries, handle)
			close(in.unsubscribed)
			return nil
		}
		select {
		case <-sub.drain:
		case <-sub.run.Done():
		case <-sub.session.ctx.Done(): // ends ctx
			in.handlers.Wait()
			return sub.session.lost()
		case d, open := <-sub.deliveries:
			switch {
			case open:
				handle(deliveryOf(sub.queue, &d))
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

// inHand has the deliveries that handlers work on.
type inHand struct {
	sub      *subscription
	handlers sync.WaitGroup
	// unsubscribed is closed when a consumer that stops gets no more deliveries.
	unsubscribed chan struct{}

	number   atomic.Int64 // those that are not settled
	settling sync.RWMutex // locked for reading while one is settled
}

func (in *inHand) handle(handler func()) {
	in.number.Add(1)
	in.handlers.Go(handler)
}

// holds reports whether n deliveries or more are not settled.
func (in *inHand) holds(n int) bool {
	in.settling.Lock()
	defer in.settling.Unlock()
	return in.number.Load() >= int64(n)
}

// settle settles a delivery. Once the consumer begins to stop, settle waits until it has unsubscribed, because the broker would
// send another delivery for each one that is settled. The lock makes the check and the settling one step for holds.
func (in *inHand) settle(d delivery, outcome message.Outcome) {
	in.settling.RLock()
	defer in.settling.RUnlock()
	if in.sub.stopping() {
		in.settling.RUnlock()
		select {
		case <-in.unsubscribed:
		case <-in.sub.session.ctx.Done():
		}
		in.settling.RLock()
	}
	in.sub.settle(d, outcome)
	in.number.Add(-1)
}

// quietTime without a delivery makes it likely that no other one is on its way.
const quietTime = 100 * time.Millisecond

// saturate handles deliveries until the broker sends no more, because the prefetch is reached or the queue is empty. A delivery
// that is on its way when the consumer unsubscribes is requeued by the broker, which counts as a delivery before RabbitMQ 4.3.
func (e each) saturate(in *inHand, handle func(d delivery)) {
	quiet := time.NewTimer(quietTime)
	defer quiet.Stop()
	for !in.holds(e.prefetch()) {
		select {
		case d, open := <-in.sub.deliveries:
			if !open {
				return
			}
			handle(deliveryOf(in.sub.queue, &d))
			quiet.Reset(quietTime)
		case <-quiet.C:
			return
		case <-in.sub.run.Done():
			return
		case <-in.sub.session.ctx.Done():
			return
		}
	}
}

func (e each) one(ctx context.Context, in *inHand, d delivery) {
	handler := in.sub.handler
	handler.Metrics.InHand.Inc()
	defer handler.Metrics.InHand.Dec()
	outcome := handler.Each(ctx, e.Each, d.Delivery)
	switch outcome {
	case message.Requeue:
		// The delivery would come back at once, fail again and be counted each time. It is kept until the handler can work; its
		// session may end before.
		waiting, cancel := host.Context(ctx, in.sub.drain)
		_ = handler.AwaitReady(waiting)
		cancel()
	case message.Suspend:
		in.sub.suspend() // before the broker sends the next delivery
	default:
	}
	in.settle(d, outcome)
}
