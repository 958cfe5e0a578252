package rabbitmq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/brokermetrics"
	"github.com/docmill/docmill/platform/brokertrace"
	"github.com/docmill/docmill/platform/handling"
	"github.com/docmill/docmill/platform/host"
)

// system is the value of messaging.system.
const system = "rabbitmq"

// work is how a consumer handles deliveries: each or batches.
type work interface {
	// prefetch is how many deliveries the broker may have sent and not seen settled.
	prefetch() int
	// serve works until the subscription ends and returns the reason, or nil if it was drained.
	serve(sub *subscription) error
}

// consumer consumes one queue, on a connection of its own, and settles each delivery when its handler is done with it.
type consumer struct {
	queue      message.Queue
	source     source
	work       work
	handler    handling.Caller
	supervisor *supervisor
	// suspended reports whether the consumer takes no deliveries in the current session.
	suspended atomic.Bool
}

func newConsumer(b *Broker, queue message.Queue, from source, work work, options message.ConsumerOptions) *consumer {
	metrics := brokermetrics.NewConsumer(b.registry, from.String())
	supervisor := newSupervisor(b, "consumer of "+from.String(), metrics.Connection)
	return &consumer{
		queue: queue, source: from, work: work, supervisor: supervisor,
		handler: handling.Caller{
			Queue: queue, Options: options.WithDefaults(), Metrics: metrics, Tracer: brokertrace.New(system), Log: supervisor.log,
		},
	}
}

// Run implements [message.Runner]. Once drain is closed it takes no delivery but those that are on their way, lets the handlers
// finish, and settles their deliveries. When ctx is canceled, the handlers' contexts end, and the connection stays for another
// message.AbandonGrace so that their outcomes still count. It calls ready at once, without waiting for a connection: a
// service does what it can without the broker, and Check reports the connection.
func (c *consumer) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	stop, cancel := host.Context(ctx, drain)
	defer cancel()
	hard, end := linger(ctx, message.AbandonGrace)
	defer end()
	ready()
	c.supervisor.run(hard, stop, func(s *session, up func()) error {
		if err := c.awaitReady(s, stop); err != nil {
			return err
		}
		sub, err := c.subscribe(s, drain, ctx)
		if err != nil {
			return err
		}
		up()
		return c.work.serve(sub)
	})
	return nil
}

// linger returns a context that ends that long after ctx.
func linger(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	later, end := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(by, end)
		context.AfterFunc(later, func() { timer.Stop() })
	})
	return later, end
}

// awaitReady waits until the handler can work. It returns an error if the session is lost or stop ends before.
func (c *consumer) awaitReady(s *session, stop context.Context) error {
	waiting, cancel := context.WithCancelCause(stop)
	defer cancel(nil)
	unwatch := context.AfterFunc(s.ctx, func() { cancel(s.lost()) }) //nolint:contextcheck // the wait ends with both
	defer unwatch()
	return c.handler.AwaitReady(waiting)
}

// Check returns nil while deliveries can arrive, and otherwise ErrNotConnected.
func (c *consumer) Check(context.Context) error {
	if err := c.supervisor.now().err(); err != nil && !errors.Is(err, message.ErrBlocked) {
		return err
	}
	if c.suspended.Load() {
		return fmt.Errorf("%w: suspended until its handler is ready", message.ErrNotConnected)
	}
	return nil
}

// consumerTag names the subscription on its channel, which has no other.
const consumerTag = "docmill"

func (c *consumer) subscribe(s *session, drain <-chan struct{}, run context.Context) (*subscription, error) {
	if err := s.channel.Qos(c.work.prefetch(), 0, false); err != nil {
		return nil, fmt.Errorf("set the prefetch: %w", err)
	}
	queue, err := c.source.open(s)
	if err != nil {
		return nil, err
	}
	sub := &subscription{
		session: s, queue: c.queue, name: queue, drain: drain, run: run, handler: c.handler, suspended: &c.suspended,
	}
	return sub, sub.consume()
}

// open returns the queue to consume. For an exchange it is declared now, and removed with the connection.
func (s source) open(on *session) (string, error) {
	if s.exchange == "" {
		return s.queue, nil
	}
	const durable, autoDelete, exclusive, noWait = false, true, true, false
	queue, err := on.channel.QueueDeclare("", durable, autoDelete, exclusive, noWait, nil)
	if err != nil {
		return "", fmt.Errorf("declare a queue for %s: %w", s.exchange, err)
	}
	if err := on.channel.QueueBind(queue.Name, "", s.exchange, noWait, nil); err != nil {
		return "", fmt.Errorf("bind a queue to %s: %w", s.exchange, err)
	}
	return queue.Name, nil
}

// subscription is the consuming side of one session.
type subscription struct {
	session    *session
	queue      message.Queue
	name       string // the name of the queue at the broker
	deliveries <-chan amqp.Delivery
	drain      <-chan struct{}
	// run is the context of the consumer's Run.
	run     context.Context //nolint:containedctx // the consumer is this lifetime
	handler handling.Caller

	flow sync.Mutex // held while the flow of deliveries starts or stops
	// suspended belongs to the consumer. It is changed only while flow is held.
	suspended *atomic.Bool
}

// consume starts the flow of deliveries.
func (s *subscription) consume() error {
	s.flow.Lock()
	defer s.flow.Unlock()
	const autoAck, exclusive, noLocal, noWait = false, false, false, false
	deliveries, err := s.session.channel.Consume(s.name, consumerTag, autoAck, exclusive, noLocal, noWait, nil)
	if err != nil {
		return fmt.Errorf("consume %s: %w", s.name, err)
	}
	s.deliveries = deliveries // not nil, which nothing is ever received from
	s.suspended.Store(false)
	return nil
}

// suspend stops the flow of deliveries. Deliveries that the broker has already sent still arrive; then their channel is
// closed, as it is when the session is lost.
func (s *subscription) suspend() {
	s.flow.Lock()
	defer s.flow.Unlock()
	if s.suspended.Load() {
		return
	}
	s.suspended.Store(true)
	if err := s.session.channel.Cancel(consumerTag, false); err != nil {
		s.handler.Log.Debug("cannot suspend the consumer: the session is lost", zap.Error(err))
	}
}

// resume waits until the handler can work, and then starts the flow again. It also returns nil when the consumer stops.
func (s *subscription) resume(ctx context.Context) error {
	waiting, cancel := host.Context(ctx, s.drain)
	defer cancel()
	if s.handler.AwaitReady(waiting) != nil { // the consumer stops, or the session is lost
		return nil
	}
	return s.consume()
}

// context returns what handlers work under: it ends with ErrConnectionLost as its cause when the session is lost, and
// with context.Canceled when it is abandoned.
func (s *subscription) context() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(s.session.ctx))
	abandoned := context.AfterFunc(s.run, func() { cancel(context.Canceled) })
	lost := context.AfterFunc(s.session.ctx, func() {
		cancel(fmt.Errorf("%w: %w", message.ErrConnectionLost, context.Cause(s.session.ctx)))
	})
	return ctx, func() { abandoned(); lost(); cancel(context.Canceled) }
}

// stopping reports whether the consumer stops. It is checked before a delivery is started: a select with both ready
// picks either.
func (s *subscription) stopping() bool {
	select {
	case <-s.drain:
		return true
	default:
		return s.run.Err() != nil
	}
}

// unsubscribe ends the flow of deliveries, and passes on those that no handler has started on.
func (s *subscription) unsubscribe(rest <-chan amqp.Delivery, pass func(d delivery)) {
	if err := s.session.channel.Cancel(consumerTag, false); err != nil {
		return // the session is lost, which returns everything
	}
	for d := range rest { // closed by the cancel
		pass(deliveryOf(s.queue, &d))
	}
}

// settle reports the outcome of a delivery to the broker. A failure means that the session is lost: the delivery comes
// again, and its handler then finds that its work is done. Failures are counted and have no other consequence.
func (s *subscription) settle(d delivery, outcome message.Outcome) {
	var err error
	switch channel := s.session.channel; outcome {
	case message.Ack, message.Suspend:
		err = channel.Ack(d.tag, false)
	case message.DeadLetter:
		err = channel.Reject(d.tag, false)
	default:
		// The end of the session requeues the delivery, and counts it. An earlier requeue could deliver it to this session
		// again, and count it twice.
		if err = cmp.Or(context.Cause(s.session.ctx), s.run.Err()); err == nil {
			err = channel.Nack(d.tag, false, true)
		}
	}
	s.count(outcome, err, 1)
}

func (s *subscription) count(outcome message.Outcome, err error, n int) {
	label := outcome.String()
	if err != nil {
		label = brokermetrics.Lost
		s.handler.Log.Debug("delivery not settled; it will be redelivered", zap.Stringer("outcome", outcome), zap.Error(err))
	}
	s.handler.Metrics.Deliveries.WithLabelValues(label).Add(float64(n))
}
