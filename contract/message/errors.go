package message

import (
	"errors"
	"fmt"
)

// The kinds of a [PublishError], for errors.Is.
var (
	// ErrNotConnected means that there was no connection within the time given: the message was not sent. Check
	// returns it too.
	ErrNotConnected = errors.New("not connected to the message broker")
	// ErrBlocked means that the broker accepts no messages at present, for lack of memory or disk: the message was
	// not sent.
	ErrBlocked = errors.New("the message broker is blocked by an alarm")
	// ErrBusy means that too many earlier messages are still unconfirmed: the message was not sent.
	ErrBusy = errors.New("too many unconfirmed messages")
	// ErrUnroutable means that no queue is bound for the message.
	ErrUnroutable = errors.New("no queue accepts the message")
	// ErrNacked means that a queue rejected the message, for example because it is full. If several queues receive the
	// message, the others may hold it.
	ErrNacked = errors.New("a queue rejected the message")
	// ErrUnconfirmed means that the outcome is unknown: the message was sent, and then the connection was lost or the
	// time was up. It may be in its queues, or arrive there later.
	ErrUnconfirmed = errors.New("the message broker did not confirm the message")
	// ErrUnpublishable means that the message itself is wrong, for example that its type has no route. It was not sent.
	ErrUnpublishable = errors.New("the message cannot be published")
)

// ErrMalformed means that a delivery's type is unknown or its body does not decode. It is permanent.
var ErrMalformed = errors.New("malformed message")

// ErrConnectionLost is the cause with which a handler's context is canceled when its delivery is lost: the message is
// delivered again, here or elsewhere, and what the handler returns no longer counts.
var ErrConnectionLost = errors.New("the connection of the delivery is lost")

// PublishError is why a message was not published, or may not have been.
type PublishError struct {
	// Message names the message.
	Message string
	// Kind is one of the errors of this package.
	Kind error
	// Cause may be nil.
	Cause error
	// NotEnqueued is set if the message is certain not to be in any queue, now or later.
	NotEnqueued bool
}

// Error describes the failure.
func (e *PublishError) Error() string {
	if e.Cause == nil {
		return fmt.Sprintf("publish %s: %v", e.Message, e.Kind)
	}
	return fmt.Sprintf("publish %s: %v: %v", e.Message, e.Kind, e.Cause)
}

// Unwrap returns the kind and the cause.
func (e *PublishError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// NotEnqueued reports whether an error of Publish means that the message is certain not to be in any queue, now or
// later, so that whatever belongs to it may be undone. It is false for nil, for ErrUnconfirmed, and for ErrNacked of
// a message that several queues receive, because one of them may hold it.
func NotEnqueued(err error) bool {
	var failed *PublishError
	return errors.As(err, &failed) && failed.NotEnqueued
}
