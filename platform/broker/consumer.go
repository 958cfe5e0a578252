package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
)

// ConsumerOptions say who consumes. Zero values stand for the defaults.
type ConsumerOptions struct {
	// Name is the service's name: it becomes part of the connection's name at the broker.
	Name string
	// Hold is how long a failing batch is held and tried again before it is given back to its queue: 10 minutes by
	// default, which has to stay below the broker's consumer_timeout (30 minutes unless configured).
	Hold time.Duration
	// Usable tells whether the handler could do its work now: whether its database answers, say. The consumer takes
	// no deliveries before it returns nil, because each that is taken and given back counts against its delivery limit:
	// with Hold alone, an outage of 20 times its length would dead-letter events that nothing is wrong with. It is asked
	// whenever the consumer has connected, and obeys ctx. Nil stands for always.
	Usable func(ctx context.Context) error
	// Log is told about connections and failures. Required.
	Log *zap.Logger
	// Metrics takes the consumer's metrics; nil takes none.
	Metrics prometheus.Registerer
}

// Work is what a Consumer does with deliveries: Each or Batches.
type Work interface {
	// prefetch is how many deliveries the broker may have sent and not seen settled.
	prefetch() int
	// serve works until the subscription ends and returns why, or nil when it was drained.
	serve(sub *subscription) error
}

// Consumer consumes one queue, on a connection of its own, and settles each delivery when its handler is done with it.
type Consumer struct {
	// queue is empty for a listener, whose queue the broker names.
	queue string
	// exchange is what a listener listens to.
	exchange   string
	work       Work
	options    ConsumerOptions
	supervisor *supervisor
	metrics    consumerMetrics
}

// NewConsumer makes a consumer. It connects when it runs.
func NewConsumer(config Config, queue string, work Work, options ConsumerOptions) (*Consumer, error) {
	return newConsumer(config, queue, Consumer{queue: queue, work: work, options: options})
}

// NewListener makes a consumer of a queue of its own, which gets what is published on the exchange while it is connected, and
// nothing else. It connects when it runs.
func NewListener(config Config, exchange string, work Work, options ConsumerOptions) (*Consumer, error) {
	return newConsumer(config, exchange, Consumer{exchange: exchange, work: work, options: options})
}

func newConsumer(config Config, of string, c Consumer) (*Consumer, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if c.options.Hold == 0 {
		c.options.Hold = 10 * time.Minute
	}
	factory := labelled(c.options.Metrics, of)
	c.supervisor = newSupervisor(config, c.options.Name+" consumer of "+of, c.options.Log, newConnectionMetrics(factory))
	c.metrics = newConsumerMetrics(factory)
	return &c, nil
}

// Run consumes until drain is closed; then it takes no further delivery, lets the handlers finish what they have in hand,
// settles that and returns nil. When ctx ends it abandons everything: what is unsettled comes again. It calls ready at
// once and not when there is a connection: a service does whatever it can without the broker, and Check says the rest.
// Run is called once; it is a part of package host.
func (c *Consumer) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	stop, cancel := stopping(ctx, drain)
	defer cancel()
	ready()
	c.supervisor.run(ctx, stop, func(s *session, up func()) error {
		if err := c.usable(s, stop); err != nil {
			return err
		}
		sub, err := c.subscribe(s, drain)
		if err != nil {
			return err
		}
		up()
		return c.work.serve(sub)
	})
	return nil
}

// Delays between the questions whether the handler can work, with full jitter, and the bound on each question.
const (
	firstQuestion   = 50 * time.Millisecond
	maxQuestion     = 2500 * time.Millisecond
	questionTimeout = 3 * time.Second
)

// usable waits until the handler can work. It returns why it no longer waits when the session is lost or stop ends.
func (c *Consumer) usable(s *session, stop context.Context) error {
	if c.options.Usable == nil {
		return nil
	}
	delays := &backoff.ExponentialBackOff{InitialInterval: firstQuestion, Multiplier: 2, MaxInterval: maxQuestion, RandomizationFactor: 1}
	told := ""
	for {
		asking, cancel := context.WithTimeout(stop, questionTimeout)
		err := c.options.Usable(asking)
		cancel()
		if err == nil {
			return nil
		}
		if text := err.Error(); text != told { // an outage is told once, and again when its reason changes
			told = text
			c.supervisor.log.Warn("taking no deliveries, which nobody could handle now", zap.Error(err))
		}
		timer := time.NewTimer(delays.NextBackOff())
		select {
		case <-timer.C:
		case <-stop.Done():
			timer.Stop()
			return context.Cause(stop)
		case <-s.ctx.Done():
			timer.Stop()
			return s.cause()
		}
	}
}

// Check returns nil while deliveries can come, and otherwise ErrNotConnected.
func (c *Consumer) Check(context.Context) error {
	if err := c.supervisor.now().err(); err != nil && !errors.Is(err, ErrBlocked) {
		return err
	}
	return nil
}

// consumerTag names the subscription on its channel, which has no other.
const consumerTag = "docmill"

func (c *Consumer) subscribe(s *session, drain <-chan struct{}) (*subscription, error) {
	if err := s.channel.Qos(c.work.prefetch(), 0, false); err != nil {
		return nil, fmt.Errorf("set the prefetch: %w", err)
	}
	queue, err := c.ownQueue(s)
	if err != nil {
		return nil, err
	}
	const autoAck, exclusive, noLocal, noWait = false, false, false, false
	deliveries, err := s.channel.Consume(queue, consumerTag, autoAck, exclusive, noLocal, noWait, nil)
	if err != nil {
		return nil, fmt.Errorf("consume %s: %w", queue, err)
	}
	return &subscription{
		session: s, deliveries: deliveries, drain: drain, hold: c.options.Hold,
		log: c.supervisor.log, metrics: c.metrics,
	}, nil
}

// ownQueue gives the queue to consume. That of a listener is made now and goes with the connection.
func (c *Consumer) ownQueue(s *session) (string, error) {
	if c.exchange == "" {
		return c.queue, nil
	}
	const durable, autoDelete, exclusive, noWait = false, true, true, false
	queue, err := s.channel.QueueDeclare("", durable, autoDelete, exclusive, noWait, nil)
	if err != nil {
		return "", fmt.Errorf("make a queue to listen with: %w", err)
	}
	if err := s.channel.QueueBind(queue.Name, "", c.exchange, noWait, nil); err != nil {
		return "", fmt.Errorf("listen to %s: %w", c.exchange, err)
	}
	return queue.Name, nil
}

// subscription is the consuming side of one session.
type subscription struct {
	session    *session
	deliveries <-chan amqp.Delivery
	drain      <-chan struct{}
	hold       time.Duration
	log        *zap.Logger
	metrics    consumerMetrics
}

// context is what handlers work under: it ends with ErrLost as its cause when the session is lost, and with
// context.Canceled when it is abandoned.
func (s *subscription) context() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(s.session.ctx))
	stop := context.AfterFunc(s.session.ctx, func() {
		cause := context.Cause(s.session.ctx)
		if !errors.Is(cause, context.Canceled) {
			cause = fmt.Errorf("%w: %w", ErrLost, cause)
		}
		cancel(cause)
	})
	return ctx, func() { stop(); cancel(context.Canceled) }
}

// draining tells whether a drain has begun. It is asked before a delivery is begun: a select that finds both takes either.
func (s *subscription) draining() bool {
	select {
	case <-s.drain:
		return true
	default:
		return false
	}
}

// unsubscribe ends the flow of deliveries and gives back those that nobody has begun.
func (s *subscription) unsubscribe(rest <-chan amqp.Delivery) {
	if err := s.session.channel.Cancel(consumerTag, false); err != nil {
		return // the session is lost, which gives back everything
	}
	for d := range rest { // closed by the cancel
		s.settle(newDelivery(&d), Release)
	}
}

// settle tells the broker what became of a delivery. A failure means that the session is lost: the delivery comes again,
// and whoever handles it then finds that its work is done. It is counted and otherwise of no consequence.
func (s *subscription) settle(d *Delivery, outcome Outcome) {
	var err error
	switch channel := s.session.channel; outcome {
	case Ack:
		err = channel.Ack(d.tag, false)
	case DeadLetter:
		err = channel.Reject(d.tag, false)
	default:
		err = channel.Nack(d.tag, false, true)
	}
	s.count(outcome, err, 1)
}

func (s *subscription) count(outcome Outcome, err error, n int) {
	label := outcome.String()
	if err != nil {
		label = "lost"
		s.log.Debug("a delivery could not be settled; it comes again", zap.Stringer("outcome", outcome), zap.Error(err))
	}
	s.metrics.deliveries.WithLabelValues(label).Add(float64(n))
}
