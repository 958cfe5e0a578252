package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/docmill/docmill/contract/message"
)

// errNoConfirm means that the broker has not confirmed a message for so long that it never will.
var errNoConfirm = errors.New("the broker has not confirmed a message")

// errUnsent means that a connection took a message and was lost before it wrote all of it.
var errUnsent = errors.New("not sent")

// outbound is a channel of one session that publishes.
type outbound struct {
	*publisher

	session *session
	channel *amqp.Channel

	unsettled sync.WaitGroup
	mu        sync.Mutex
	// returns receives the messages that the broker returned. A return precedes the confirm of its message, and each
	// message that is on its way holds a slot, so a buffer with as many entries as there are slots is never full.
	// That matters: the library drops a notice that is not received within 5 s, and reads nothing in the meantime.
	returns <-chan amqp.Return
	pending map[string]*flight // by message id, which a return contains
}

// outbound returns the publishing side of a channel whose messages hold that many slots at most.
func (p *publisher) outbound(s *session, channel *amqp.Channel, slots int) (*outbound, error) {
	out := &outbound{
		publisher: p, session: s, channel: channel, pending: map[string]*flight{},
		returns: channel.NotifyReturn(make(chan amqp.Return, slots)),
	}
	if err := channel.Confirm(false); err != nil {
		return nil, fmt.Errorf("enable confirms: %w", err)
	}
	return out, nil
}

// serve publishes on a session until it ends, or until stop ends and nothing is unconfirmed. What may be lost has a channel of
// its own, because RabbitMQ blocks a channel that publishes to a queue without a leader.
func (p *publisher) serve(s *session, up func(), stop context.Context) error {
	out, err := p.outbound(s, s.channel, cap(p.slots))
	if err != nil {
		return err
	}
	second, err := s.secondChannel()
	if err != nil {
		return err
	}
	lossy, err := p.outbound(s, second, cap(p.lossySlots))
	if err != nil {
		return err
	}
	up()
	for {
		now := p.supervisor.now()
		outbox := p.outbox
		if now.alarm != "" {
			outbox = nil // callers wait until the alarm ends
		}
		select {
		case f := <-outbox:
			if f.to.lossy {
				lossy.send(f)
			} else {
				out.send(f)
			}
		case <-now.changed:
		case <-s.ctx.Done():
			return s.lost()
		case <-stop.Done():
			out.unsettled.Wait() // ends with the session at the latest
			return nil
		}
	}
}

// send writes one message. It may block as long as a write may, but callers do not: they wait with their own contexts.
func (o *outbound) send(f *flight) {
	o.mu.Lock()
	o.pending[f.publishing.MessageId] = f
	o.mu.Unlock()
	const mandatory, immediate = true, false
	confirm, err := o.channel.PublishWithDeferredConfirm(f.to.exchange, f.to.key, mandatory, immediate, f.publishing)
	switch {
	case err == nil:
		f.confirm = confirm
		o.unsettled.Go(func() { o.await(f) })
	case errors.Is(err, amqp.ErrClosed):
		// The library checks before each frame, and returns this error only if one of them was not written.
		o.settle(f, errUnsent, err)
	default:
		o.settle(f, message.ErrUnconfirmed, err)
	}
}

// await waits for the broker's confirm, or for the end of the session: the library then resolves all confirms as nacks.
func (o *outbound) await(f *flight) {
	o.awaitConfirm(f)
	returned := o.takeReturn(f)
	switch {
	case returned != nil:
		o.settle(f, message.ErrUnroutable, fmt.Errorf("%s (%d)", returned.ReplyText, returned.ReplyCode))
	case f.confirm.Acked():
		o.settle(f, nil, nil)
	case o.channel.IsClosed(): // set before the confirms are resolved
		o.settle(f, message.ErrUnconfirmed, o.session.lost())
	default:
		o.settle(f, message.ErrNacked, nil)
	}
}

// awaitConfirm waits until the confirm is resolved. When it is overdue, Check reports that; when it is missing for twice the
// ConfirmTimeout, the session is given up: messages without a confirm take up all slots in the end. During an alarm the
// broker confirms nothing. A message that may be lost has neither consequence.
func (o *outbound) awaitConfirm(f *flight) {
	if f.to.lossy {
		<-f.confirm.Done()
		return
	}
	timer := time.NewTimer(o.options.ConfirmTimeout)
	defer timer.Stop()
	overdue := false
	for {
		select {
		case <-f.confirm.Done():
			if overdue {
				o.overdue.Add(-1)
			}
			return
		case <-timer.C:
		}
		switch {
		case o.supervisor.now().alarm != "":
		case overdue:
			o.session.lose(fmt.Errorf("%w within %s", errNoConfirm, 2*o.options.ConfirmTimeout))
		default:
			overdue = true
			o.overdue.Add(1)
		}
		timer.Reset(o.options.ConfirmTimeout)
	}
}

// takeReturn returns the message's return, or nil if the broker did not return it. It is in the channel before the
// confirm is resolved, because one goroutine of the library reads both.
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

// settle reports the outcome to the caller, if it still waits, and makes room for the next message.
func (o *outbound) settle(f *flight, kind, cause error) {
	o.mu.Lock()
	delete(o.pending, f.publishing.MessageId)
	o.mu.Unlock()
	f.kind, f.cause = kind, cause
	close(f.settled)
	<-f.slots
}
