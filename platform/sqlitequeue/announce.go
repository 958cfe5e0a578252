package sqlitequeue

import (
	"context"
	"sync"

	"github.com/docmill/docmill/contract/message"
)

// maxMail bounds the announcements that wait for one consumer. Beyond it the oldest is dropped: a newer announcement of
// the same converter replaces it.
const maxMail = 1024

// fanOut delivers each announcement to every listening consumer. It exists in memory only.
type fanOut struct {
	mu        sync.Mutex
	mailboxes map[*mailbox]bool
}

// listen returns a mailbox that receives announcements until leave is called.
func (f *fanOut) listen() (m *mailbox, leave func()) {
	m = newMailbox(maxMail)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mailboxes == nil {
		f.mailboxes = map[*mailbox]bool{}
	}
	f.mailboxes[m] = true
	return m, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.mailboxes, m)
	}
}

// announce reports whether any consumer listened.
func (f *fanOut) announce(e message.Envelope) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for m := range f.mailboxes {
		m.put(delivery{Delivery: &message.Delivery{Envelope: e}})
	}
	return len(f.mailboxes) > 0
}

// mailbox holds messages in memory: the announcements of one consumer, or the progress of jobs.
type mailbox struct {
	limit   int // when it is exceeded, the oldest message is dropped
	mu      sync.Mutex
	mail    []delivery
	arrived chan struct{} // has a value while there may be mail
}

func newMailbox(limit int) *mailbox {
	return &mailbox{limit: limit, arrived: make(chan struct{}, 1)}
}

// waiting returns the number of messages that wait.
func (m *mailbox) waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.mail)
}

func (m *mailbox) put(deliveries ...delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mail = append(m.mail, deliveries...)
	if excess := len(m.mail) - m.limit; excess > 0 {
		m.mail = m.mail[excess:]
	}
	m.signal()
}

func (m *mailbox) signal() {
	if len(m.mail) == 0 {
		return
	}
	select {
	case m.arrived <- struct{}{}:
	default:
	}
}

// claim implements source.
func (m *mailbox) claim(ctx context.Context, limit int) ([]delivery, error) {
	for ctx.Err() == nil {
		select {
		case <-m.arrived:
		case <-ctx.Done():
			return nil, nil
		}
		m.mu.Lock()
		n := min(limit, len(m.mail))
		claimed := m.mail[:n:n]
		m.mail = m.mail[n:]
		m.signal()
		m.mu.Unlock()
		if n > 0 {
			return claimed, nil
		}
	}
	return nil, nil
}

// settle implements source: only requeued messages are delivered again.
func (m *mailbox) settle(_ context.Context, settlements []settlement) error {
	for _, s := range settlements {
		if s.outcome == message.Requeue {
			s.DeliveryCount++
			m.put(s.delivery)
		}
	}
	return nil
}
