package sqlitequeue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/brokermetrics"
	"github.com/docmill/docmill/platform/brokertrace"
	"github.com/docmill/docmill/platform/handling"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/retry"
	"github.com/docmill/docmill/platform/sqlite"
)

// work is what a consumer does with deliveries: each or batches.
type work interface {
	// limit is how many deliveries one worker takes at once.
	limit() int
	// handle handles deliveries and returns their settlements. stop ends when a drain begins, ctx when it has taken too
	// long.
	handle(ctx, stop context.Context, c *consumer, deliveries []delivery) []settlement
}

// consumer consumes one queue.
type consumer struct {
	broker  *Broker
	queue   message.Queue
	handler handling.Caller
	work    work
	workers int
	log     *zap.Logger
	metrics brokermetrics.Consumer
	// consuming is how many workers take deliveries.
	consuming atomic.Int32
	// flow is nil before Run.
	flow atomic.Pointer[flow]
}

func newConsumer(b *Broker, queue message.Queue, options message.ConsumerOptions) *consumer {
	log := b.log.With(zap.Stringer("queue", queue))
	metrics := brokermetrics.NewConsumer(b.registry, queue.String())
	return &consumer{
		broker: b, queue: queue, log: log, metrics: metrics,
		handler: handling.Caller{
			Queue: queue, Options: options.WithDefaults(), Metrics: metrics, Tracer: brokertrace.New(system), Log: log,
		},
	}
}

// Check implements [message.Runner].
func (c *consumer) Check(context.Context) error {
	flow := c.flow.Load()
	if c.consuming.Load() == 0 || flow.suspended() {
		return fmt.Errorf("%w: the consumer of %s is not running, or its handler is not ready", message.ErrNotConnected, c.queue)
	}
	return nil
}

// Run implements [message.Runner].
func (c *consumer) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	stop, cancel := host.Context(ctx, drain)
	defer cancel()
	ready()
	if c.handler.AwaitReady(stop) != nil { // stop has ended
		return nil
	}
	from, leave := c.open()
	defer leave()
	flow := newFlow(stop)
	defer flow.suspend()
	c.flow.Store(flow)
	c.count(int32(c.workers))
	defer c.count(-int32(c.workers))
	var workers sync.WaitGroup
	for range c.workers {
		workers.Go(func() { c.consume(ctx, stop, drain, from, flow) })
	}
	workers.Wait()
	return nil
}

// open returns the source of the deliveries, and a function to call at the end.
func (c *consumer) open() (from source, leave func()) {
	switch c.queue {
	case message.Announcements:
		return c.broker.queue.announcements.listen()
	case message.Progress:
		return c.broker.queue.progress, func() {}
	default:
	}
	return stored{c.broker.queue, c.queue}, func() {}
}

// count adds workers to those that take deliveries.
func (c *consumer) count(workers int32) {
	brokermetrics.Set(c.metrics.Connected, c.consuming.Add(workers) > 0)
}

// fullDisk is the retry policy for claims and settlements: they fail while the disk is full.
var fullDisk = retry.Policy{Initial: 100 * time.Millisecond, Max: 2500 * time.Millisecond}

// consume is one worker. It works until stop ends.
func (c *consumer) consume(ctx, stop context.Context, drain <-chan struct{}, from source, flow *flow) {
	for !draining(stop, drain) {
		deliveries := c.claim(flow.await(), from) //nolint:contextcheck // it ends with stop
		if len(deliveries) == 0 {
			continue // stop has ended, the flow is suspended, or the table has fewer messages than were counted
		}
		if draining(stop, drain) { // it has just begun
			c.settle(ctx, from, settleAll(deliveries, message.Requeue, false))
			return
		}
		c.metrics.InHand.Add(float64(len(deliveries)))
		settlements := c.work.handle(ctx, stop, c, deliveries)
		c.metrics.InHand.Sub(float64(len(deliveries)))
		if settlements[0].outcome == message.Suspend {
			flow.suspend()
		}
		c.settle(ctx, from, settlements)
		switch settlements[0].outcome {
		case message.Requeue:
			if !c.resume(stop) {
				return
			}
		case message.Suspend:
			if c.handler.AwaitReady(stop) == nil {
				flow.resume()
			}
		default:
		}
	}
}

// draining reports whether no delivery should be started. It checks the channel too, because stop ends a little later.
func draining(stop context.Context, drain <-chan struct{}) bool {
	select {
	case <-drain:
		return true
	default:
		return stop.Err() != nil
	}
}

// claim takes deliveries. It returns none when stop ends.
func (c *consumer) claim(stop context.Context, from source) (deliveries []delivery) {
	_ = retry.Loop(stop, fullDisk, c.log, "messages could not be claimed; retrying", func(stop context.Context) (err error) {
		deliveries, err = from.claim(stop, c.work.limit())
		return permanentIfClosed(err)
	})
	return deliveries
}

// requeuePause is how long a worker waits after a delivery was returned: what could not be handled now would come again
// at once.
const requeuePause = 100 * time.Millisecond

// resume waits until it makes sense to take deliveries again. It reports whether that was before stop ended.
func (c *consumer) resume(stop context.Context) bool {
	timer := time.NewTimer(requeuePause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-stop.Done():
		return false
	}
	c.count(-1)
	defer c.count(1)
	return c.handler.AwaitReady(stop) == nil
}

// settle applies settlements. It repeats what fails until ctx ends; then the leases are released at the next start.
func (c *consumer) settle(ctx context.Context, from source, settlements []settlement) {
	err := retry.Loop(ctx, fullDisk, c.log, "deliveries could not be settled; retrying", func(ctx context.Context) error {
		return permanentIfClosed(from.settle(ctx, settlements))
	})
	if err != nil {
		c.log.Warn("deliveries not settled; they will be redelivered after a restart", zap.Error(err))
	}
	for _, s := range settlements {
		label := s.outcome.String()
		if err != nil || s.counted {
			label = brokermetrics.Lost
		}
		c.metrics.Deliveries.WithLabelValues(label).Inc()
	}
}

func permanentIfClosed(err error) error {
	if errors.Is(err, sqlite.ErrClosed) {
		return retry.Permanent(err)
	}
	return err
}

func settleAll(deliveries []delivery, outcome message.Outcome, counted bool) []settlement {
	settlements := make([]settlement, len(deliveries))
	for i, d := range deliveries {
		settlements[i] = settlement{delivery: d, outcome: outcome, counted: counted}
	}
	return settlements
}
