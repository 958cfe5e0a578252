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
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/retry"
	"github.com/docmill/docmill/platform/sqlite"
)

// defaultRetryFor is how long a failing batch is retried.
const defaultRetryFor = 10 * time.Minute

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
	options message.ConsumerOptions
	work    work
	workers int
	log     *zap.Logger
	metrics brokermetrics.Consumer
	// consuming is how many workers take deliveries.
	consuming atomic.Int32
}

func newConsumer(b *Broker, queue message.Queue, options message.ConsumerOptions) *consumer {
	if options.RetryFor == 0 {
		options.RetryFor = defaultRetryFor
	}
	return &consumer{
		broker: b, queue: queue, options: options,
		log:     b.log.With(zap.Stringer("queue", queue)),
		metrics: brokermetrics.NewConsumer(b.registry, queue.String()),
	}
}

// Check implements [message.Runner].
func (c *consumer) Check(context.Context) error {
	if c.consuming.Load() == 0 {
		return fmt.Errorf("%w: the consumer of %s is not running, or its handler is not ready", message.ErrNotConnected, c.queue)
	}
	return nil
}

// Run implements [message.Runner].
func (c *consumer) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	stop, cancel := host.Context(ctx, drain)
	defer cancel()
	ready()
	if !c.awaitReady(stop) {
		return nil
	}
	from, leave := c.open()
	defer leave()
	c.count(int32(c.workers))
	defer c.count(-int32(c.workers))
	var workers sync.WaitGroup
	for range c.workers {
		workers.Go(func() { c.consume(ctx, stop, drain, from) })
	}
	workers.Wait()
	return nil
}

// open returns the source of the deliveries, and a function to call at the end.
func (c *consumer) open() (from source, leave func()) {
	if c.queue == message.Announcements {
		return c.broker.queue.announcements.listen()
	}
	return stored{c.broker.queue, c.queue}, func() {}
}

// count adds workers to those that take deliveries.
func (c *consumer) count(workers int32) {
	brokermetrics.Set(c.metrics.Connected, c.consuming.Add(workers) > 0)
}

// Delays between the calls of Ready, and the limit of each call.
const (
	firstReadyDelay = 50 * time.Millisecond
	maxReadyDelay   = 2500 * time.Millisecond
	readyTimeout    = 3 * time.Second
)

// awaitReady waits until the handler can work. It reports whether that was before stop ended.
func (c *consumer) awaitReady(stop context.Context) bool {
	if c.options.Ready == nil {
		return true
	}
	policy := retry.Policy{Initial: firstReadyDelay, Max: maxReadyDelay}
	return retry.Loop(stop, policy, c.log, "consumer paused: handler not ready", func(ctx context.Context) error {
		asking, cancel := context.WithTimeout(ctx, readyTimeout)
		defer cancel()
		return c.options.Ready(asking)
	}) == nil
}

// Delays between the tries of what fails: a batch, or a claim or settlement while the disk is full.
const (
	firstRetry = 100 * time.Millisecond
	maxRetry   = 2500 * time.Millisecond
)

// consume is one worker. It works until stop ends.
func (c *consumer) consume(ctx, stop context.Context, drain <-chan struct{}, from source) {
	for !draining(stop, drain) {
		deliveries := c.claim(stop, from)
		if len(deliveries) == 0 { // stop has ended, or the table has fewer messages than were counted
			continue
		}
		if draining(stop, drain) { // it has just begun
			c.settle(ctx, from, settleAll(deliveries, message.Requeue, false))
			return
		}
		c.metrics.InHand.Add(float64(len(deliveries)))
		settlements := c.work.handle(ctx, stop, c, deliveries)
		c.metrics.InHand.Sub(float64(len(deliveries)))
		c.settle(ctx, from, settlements)
		if settlements[0].outcome == message.Requeue && !c.resume(stop) {
			return
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
	policy := retry.Policy{Initial: firstRetry, Max: maxRetry}
	_ = retry.Loop(stop, policy, c.log, "messages could not be claimed; retrying", func(stop context.Context) (err error) {
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
	return c.awaitReady(stop)
}

// settle applies settlements. It repeats what fails until ctx ends; then the leases are released at the next start.
func (c *consumer) settle(ctx context.Context, from source, settlements []settlement) {
	policy := retry.Policy{Initial: firstRetry, Max: maxRetry}
	err := retry.Loop(ctx, policy, c.log, "deliveries could not be settled; retrying", func(ctx context.Context) error {
		return permanentIfClosed(from.settle(ctx, settlements))
	})
	if err != nil {
		c.log.Warn("deliveries not settled; they will be redelivered after a restart", zap.Error(err))
	}
	for _, s := range settlements {
		label := s.outcome.String()
		if err != nil || s.counted {
			label = "lost"
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
