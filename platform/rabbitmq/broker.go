package rabbitmq

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
)

// defaultInFlight bounds the messages of a publisher that are sent and unconfirmed, including those that their
// callers have given up on.
const defaultInFlight = 1024

// Broker opens publishers and consumers on RabbitMQ for one service.
type Broker struct {
	config   Config
	name     string
	log      *zap.Logger
	registry prometheus.Registerer
	inFlight int
}

var _ message.Broker = (*Broker)(nil)

// New returns a broker for the service with this name, which becomes the messages' app id and part of the names of
// connections. It does not connect. A nil registry collects no metrics.
func New(config Config, name string, log *zap.Logger, registry prometheus.Registerer) (*Broker, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Broker{config: config, name: name, log: log, registry: registry, inFlight: defaultInFlight}, nil
}

// NewPublisher returns a publisher. It connects when it runs.
func (b *Broker) NewPublisher(options message.PublisherOptions) (message.Publisher, error) {
	return newPublisher(b, options), nil
}

// NewConsumer returns a consumer. It connects when it runs. RetryFor must be less than the broker's consumer_timeout,
// which is 30 minutes unless configured otherwise.
func (b *Broker) NewConsumer(
	queue message.Queue, handler message.Handler, options message.ConsumerOptions,
) (message.Consumer, error) {
	source, found := sourceOf(queue)
	if !found {
		return nil, fmt.Errorf("consume %s: no such queue", queue)
	}
	var work work
	switch h := handler.(type) {
	case message.Each:
		work = newEach(h)
	case message.Batches:
		work = newBatches(h)
	default:
		return nil, fmt.Errorf("consume %s: a handler of type %T", queue, handler)
	}
	return newConsumer(b, queue, source, work, options), nil
}
