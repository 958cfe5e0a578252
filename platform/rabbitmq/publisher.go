package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/brokermetrics"
	"github.com/docmill/docmill/platform/brokertrace"
	"github.com/docmill/docmill/platform/host"
)

// publisher publishes messages and reports their outcome. It is meant to be used by many goroutines at once: each waits
// for its own confirm.
type publisher struct {
	app        string
	options    message.PublisherOptions
	supervisor *supervisor
	metrics    brokermetrics.Publisher
	tracer     brokertrace.Tracer
	// slots holds one entry for each message that is sent and unconfirmed. A message that its caller has given up on
	// keeps its entry until the broker has answered or the connection is lost: that bounds what waits in the library.
	slots chan struct{}
	// lossySlots holds the entries of messages that may be lost.
	lossySlots chan struct{}
	// overdue counts the messages, without those that may be lost, whose confirms are missing for longer than the ConfirmTimeout.
	overdue atomic.Int64
	// outbox leads to the current connection. It is unbuffered: a connection has taken every message that was sent to
	// it, and no message that was not.
	outbox  chan *flight
	stopped chan struct{}
}

// maxLossy is how many messages that may be lost can be unconfirmed. If their queue has no leader, they stay that for long, and
// RabbitMQ stops reading from a connection with hundreds of messages that a blocked channel has not processed.
const maxLossy = 16

func newPublisher(b *Broker, options message.PublisherOptions) *publisher {
	options = options.WithDefaults()
	metrics := brokermetrics.NewPublisher(b.registry)
	return &publisher{
		app:        b.name,
		options:    options,
		supervisor: newSupervisor(b, "publisher", metrics.Connection),
		metrics:    metrics,
		tracer:     brokertrace.New(system),
		slots:      make(chan struct{}, b.inFlight),
		lossySlots: make(chan struct{}, maxLossy),
		outbox:     make(chan *flight),
		stopped:    make(chan struct{}),
	}
}

// Run implements [message.Runner]. It keeps the publisher connected until drain is closed; then it sends nothing more
// and waits for the confirms that are still due. It calls ready at once, without waiting for a connection: a service
// does what it can without the broker, and Check reports the connection.
func (p *publisher) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	defer close(p.stopped)
	stop, cancel := host.Context(ctx, drain)
	defer cancel()
	ready()
	p.supervisor.run(ctx, stop, func(s *session, up func()) error { return p.serve(s, up, stop) })
	return nil
}

// Check returns nil if a message could be sent now and would be confirmed, and otherwise ErrNotConnected, ErrBlocked or
// ErrUnconfirmed.
func (p *publisher) Check(context.Context) error {
	if err := p.supervisor.now().err(); err != nil {
		return err
	}
	if n := p.overdue.Load(); n > 0 {
		return fmt.Errorf("%w: %d messages are overdue", message.ErrUnconfirmed, n)
	}
	return nil
}

// Publish implements [message.Publisher]: it returns nil once every queue that is bound for the message has it on disk.
func (p *publisher) Publish(ctx context.Context, m message.Message) error {
	return p.metrics.Observe(func() error {
		return p.tracer.Send(ctx, m, func(ctx context.Context) error { return p.publish(ctx, m) })
	})
}

func (p *publisher) publish(ctx context.Context, m message.Message) error {
	envelope, err := message.Encode(ctx, m, p.app)
	if err != nil {
		return failure(m, message.ErrUnpublishable, err, true)
	}
	to, err := addressOf(m)
	if err != nil {
		return failure(m, message.ErrUnpublishable, err, true)
	}
	return p.send(ctx, m, to, envelope)
}

// Forward implements [message.Publisher].
func (p *publisher) Forward(ctx context.Context, e message.Envelope, to message.Queue) error {
	if !message.CanForward(to) {
		return failure(e, message.ErrUnpublishable, fmt.Errorf("cannot forward messages to the queue %s", to), true)
	}
	target, _ := sourceOf(to)
	return p.metrics.Observe(func() error { return p.send(ctx, e, directTo(target.queue), e) })
}

// send publishes an envelope and waits for its outcome. what describes the message in errors.
func (p *publisher) send(ctx context.Context, what fmt.Stringer, to address, e message.Envelope) error {
	publishing, slots := publishingOf(e), p.slots
	if to.lossy {
		slots = p.lossySlots
	}
	waiting, cancel := context.WithTimeout(ctx, p.options.Wait)
	defer cancel()
	for {
		f := &flight{to: to, publishing: publishing, slots: slots, settled: make(chan struct{})}
		if err := p.handOver(waiting, f); err != nil {
			return failure(what, err, context.Cause(waiting), true)
		}
		if err := p.outcome(ctx, what, f); !errors.Is(err, errUnsent) {
			return err
		}
		// The connection was lost before the message was written: it is sent on the next one.
	}
}

func failure(what fmt.Stringer, kind, cause error, notEnqueued bool) error {
	return &message.PublishError{Message: what.String(), Kind: kind, Cause: cause, NotEnqueued: notEnqueued}
}

// handOver hands the message to the current connection as soon as there is one that accepts messages. If it returns an
// error, the message is certain not to be sent.
func (p *publisher) handOver(waiting context.Context, f *flight) error {
	if waiting.Err() != nil {
		return p.obstacle()
	}
	select {
	case f.slots <- struct{}{}:
	case <-waiting.Done():
		return p.obstacle()
	case <-p.stopped:
		return message.ErrNotConnected
	}
	select {
	case p.outbox <- f:
		return nil // the connection that has taken it releases the slot
	case <-waiting.Done():
	case <-p.stopped:
	}
	<-f.slots
	return p.obstacle()
}

// obstacle returns why a message could not be sent.
func (p *publisher) obstacle() error {
	if err := p.supervisor.now().err(); err != nil {
		return err
	}
	return message.ErrBusy
}

// outcome waits for the outcome of a message that was handed over.
func (p *publisher) outcome(ctx context.Context, what fmt.Stringer, f *flight) error {
	timeout := time.NewTimer(p.options.ConfirmTimeout)
	defer timeout.Stop()
	select {
	case <-f.settled:
		if f.kind == nil {
			return nil
		}
		return failure(what, f.kind, f.cause, f.notEnqueued())
	case <-ctx.Done():
		return failure(what, message.ErrUnconfirmed, context.Cause(ctx), false)
	case <-timeout.C:
		return failure(what, message.ErrUnconfirmed, context.DeadlineExceeded, false)
	}
}

// flight is a message on its way.
type flight struct {
	to         address
	publishing amqp.Publishing
	slots      chan struct{} // holds its entry

	confirm  *amqp.DeferredConfirmation
	returned *amqp.Return // guarded by the outbound's mutex

	// kind and cause are the outcome: readable once settled is closed. Without a kind, every queue has the message.
	kind, cause error
	settled     chan struct{}
}

// notEnqueued reports whether the outcome means that no queue has the message. A nack means that not all queues have
// it: only the default exchange leads to at most one.
func (f *flight) notEnqueued() bool {
	return errors.Is(f.kind, message.ErrUnroutable) || errors.Is(f.kind, message.ErrNacked) && f.to.exchange != ExchangeJobs
}
