package sqlitequeue

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
)

// system is the value of messaging.system.
const system = "sqlite"

// Broker opens publishers and consumers for one service.
type Broker struct {
	queue    *Queue
	name     string
	log      *zap.Logger
	registry prometheus.Registerer
}

var _ message.Broker = (*Broker)(nil)

// Broker returns the queue as the service with this name uses it; the name becomes the messages' app. A nil registry
// collects no metrics, a nil log logs nothing.
func (q *Queue) Broker(name string, log *zap.Logger, registry prometheus.Registerer) *Broker {
	if log == nil {
		log = zap.NewNop()
	}
	return &Broker{queue: q, name: name, log: log, registry: registry}
}

// NewPublisher returns a publisher. It publishes while it runs.
func (b *Broker) NewPublisher(options message.PublisherOptions) (message.Publisher, error) {
	return newPublisher(b, options), nil
}

// NewConsumer returns a consumer. It consumes while it runs.
func (b *Broker) NewConsumer(
	queue message.Queue, handler message.Handler, options message.ConsumerOptions,
) (message.Consumer, error) {
	if _, stored := b.queue.dispatchers[queue]; !stored && queue != message.Announcements && queue != message.Progress {
		return nil, fmt.Errorf("consume %s: no such queue", queue)
	}
	c := newConsumer(b, queue, options)
	switch h := handler.(type) {
	case message.Each:
		h.Concurrency = max(h.Concurrency, 1)
		c.work, c.workers = each{h}, h.Concurrency
	case message.Batches:
		h.Max = max(h.Max, 1)
		c.work, c.workers = batches{h}, 1
	default:
		return nil, fmt.Errorf("consume %s: a handler of type %T", queue, handler)
	}
	return c, nil
}

// source is where a consumer's deliveries come from.
type source interface {
	// claim waits for deliveries and returns up to limit of them, in order. It returns none if ctx ends first.
	claim(ctx context.Context, limit int) ([]delivery, error)
	// settle applies the outcomes of deliveries.
	settle(ctx context.Context, settlements []settlement) error
}

// stored is one queue of the table.
type stored struct {
	*Queue

	queue message.Queue
}

func (s stored) claim(ctx context.Context, limit int) ([]delivery, error) {
	return s.Queue.claim(ctx, s.queue, limit)
}

func (s stored) settle(ctx context.Context, settlements []settlement) error {
	return s.Queue.settle(ctx, s.queue, settlements)
}
