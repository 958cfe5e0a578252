package broker

import (
	"errors"
	"fmt"
)

// Why a publication did not succeed, to be told apart with errors.Is. Absent says what follows for the message.
var (
	// ErrNotConnected says that there was no connection within the time given: the message was not sent. A Consumer's
	// and a Publisher's Check return it too.
	ErrNotConnected = errors.New("not connected to the broker")
	// ErrBlocked says that the broker takes no messages at present, for want of memory or disk: the message was not sent.
	ErrBlocked = errors.New("the broker is blocked by an alarm")
	// ErrBusy says that too many earlier messages are still unconfirmed: the message was not sent.
	ErrBusy = errors.New("too many unconfirmed messages")
	// ErrUnroutable says that no queue is bound for the message: the broker returned it.
	ErrUnroutable = errors.New("no queue takes the message")
	// ErrNacked says that a queue refused the message, because it is full for example. Where several queues are bound, the
	// others may have taken it.
	ErrNacked = errors.New("a queue refused the message")
	// ErrUnconfirmed says that the outcome is unknown: the message was sent, and then the connection was lost or the
	// time was up. It may be in its queues, or get there later: under a memory alarm the broker was seen to enqueue a
	// message long after its publisher had stopped waiting.
	ErrUnconfirmed = errors.New("the broker did not confirm the message")
	// ErrUnpublishable says that the message itself is wrong: a type without a routing key, say. It was not sent.
	ErrUnpublishable = errors.New("the message cannot be published")
)

// ErrMalformed says that a delivery's type is unknown or its body does not decode. It is permanent: the same bytes will
// be as wrong next time.
var ErrMalformed = errors.New("malformed message")

// ErrLost is the cause with which a handler's context is canceled when the connection of its delivery is lost: the
// delivery comes again, here or elsewhere, and nothing that the handler returns counts any more.
var ErrLost = errors.New("the connection that the delivery came by is lost")

// publishError is one of the errors above with its circumstances.
type publishError struct {
	what   string // which message
	kind   error
	cause  error // may be nil
	absent bool
}

func (e *publishError) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("publish %s: %v", e.what, e.kind)
	}
	return fmt.Sprintf("publish %s: %v: %v", e.what, e.kind, e.cause)
}

func (e *publishError) Unwrap() []error {
	if e.cause == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.cause}
}

// Absent tells whether an error of Publish means that the message surely is in no queue and never will be, so that what
// belongs to it may be undone. It is false for a nil error, for ErrUnconfirmed, and for ErrNacked on an exchange that
// leads to several queues, since one of them may hold the message.
func Absent(err error) bool {
	var failed *publishError
	return errors.As(err, &failed) && failed.absent
}
