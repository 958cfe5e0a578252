package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/docmill/docmill/platform/topology"
)

// errUnsent says that a connection took a message and was lost before it wrote all of it.
var errUnsent = errors.New("not sent")

// flight is a message on its way.
type flight struct {
	exchange, key string
	publishing    amqp.Publishing

	confirm  *amqp.DeferredConfirmation
	returned *amqp.Return // guarded by the outbound's mutex

	// kind and cause are what became of it: readable once settled is closed. No kind: every queue has it.
	kind, cause error
	settled     chan struct{}
}

// absent tells whether what became of the message means that no queue has it. A nack says that not all queues have it: only
// the default exchange leads to no more than one.
func (f *flight) absent() bool {
	return errors.Is(f.kind, ErrUnroutable) || errors.Is(f.kind, ErrNacked) && f.exchange != topology.Jobs
}

// outbound is the publishing side of one session.
type outbound struct {
	session *session
	slots   chan struct{}

	unsettled sync.WaitGroup
	mu        sync.Mutex
	// returns is what the broker gave back. A return comes before its message's confirm, and each message that is under
	// way holds a slot, so a buffer of as many as there are slots is never full: the library drops a notice that
	// nobody takes within 5 s, and reads nothing meanwhile.
	returns <-chan amqp.Return
	pending map[string]*flight // by message id, which a return carries
}

// serve publishes on a session until its end, or until stop ends and nothing is unconfirmed.
func (p *Publisher) serve(s *session, up func(), stop context.Context) error {
	out := &outbound{
		session: s, slots: p.slots, pending: map[string]*flight{},
		returns: s.channel.NotifyReturn(make(chan amqp.Return, cap(p.slots))),
	}
	if err := s.channel.Confirm(false); err != nil {
		return fmt.Errorf("ask for confirms: %w", err)
	}
	up()
	for {
		now := p.supervisor.now()
		outbox := p.outbox
		if now.alarm != "" {
			outbox = nil // whoever waits goes on waiting
		}
		select {
		case f := <-outbox:
			out.send(f)
		case <-now.changed:
		case <-s.ctx.Done():
			return s.lost()
		case <-stop.Done():
			out.unsettled.Wait() // ends with the session at the latest
			return nil
		}
	}
}

// send writes one message. It may block for as long as a write may, without holding up callers: they wait with their
// own contexts.
func (o *outbound) send(f *flight) {
	o.mu.Lock()
	o.pending[f.publishing.MessageId] = f
	o.mu.Unlock()
	const mandatory, immediate = true, false
	confirm, err := o.session.channel.PublishWithDeferredConfirm(f.exchange, f.key, mandatory, immediate, f.publishing)
	switch {
	case err == nil:
		f.confirm = confirm
		o.unsettled.Go(func() { o.await(f) })
	case errors.Is(err, amqp.ErrClosed):
		// The library checks before each frame and gives this very error only if one of them was not written.
		o.settle(f, errUnsent, err)
	default:
		o.settle(f, ErrUnconfirmed, err)
	}
}

// await waits for the broker's word on a message, or for the session's end: then the library resolves all confirms as if
// they were nacks.
func (o *outbound) await(f *flight) {
	<-f.confirm.Done()
	returned := o.takeReturn(f)
	switch {
	case returned != nil:
		o.settle(f, ErrUnroutable, fmt.Errorf("%s (%d)", returned.ReplyText, returned.ReplyCode))
	case f.confirm.Acked():
		o.settle(f, nil, nil)
	case o.session.channel.IsClosed(): // set before the confirms are resolved
		o.settle(f, ErrUnconfirmed, o.session.lost())
	default:
		o.settle(f, ErrNacked, nil)
	}
}

// takeReturn says whether the broker returned the message. Its return was in the channel before its confirm resolved,
// because one goroutine of the library reads both.
func (o *outbound) takeReturn(f *flight) *amqp.Return {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		select {
		case r, open := <-o.returns:
			if !open {
				o.returns = nil
			} else if owner := o.pending[r.MessageId]; owner != nil {
				owner.returned = &r
			}
		default:
			return f.returned
		}
	}
}

// settle tells the caller, if it still waits, and makes room for the next message.
func (o *outbound) settle(f *flight, kind, cause error) {
	o.mu.Lock()
	delete(o.pending, f.publishing.MessageId)
	o.mu.Unlock()
	f.kind, f.cause = kind, cause
	close(f.settled)
	<-o.slots
}
