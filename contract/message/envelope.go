package message

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/docmill/docmill/proto/docmill/conversion/v1" // registers the types that Delivery.Message decodes
)

// ContentType is the encoding of every body.
const ContentType = "application/protobuf"

// Envelope is a message as it travels.
type Envelope struct {
	// Type is the full name of the body's protobuf message; ContentType is how the body is encoded.
	Type, ContentType string
	// ID identifies the message; a redelivery has the same one. JobID may be empty.
	ID, JobID string
	// App is the service that published the message, and PublishedAt when, by its clock.
	App         string
	PublishedAt time.Time
	// Attempt counts from 1.
	Attempt int
	// Trace is the W3C trace context; may be nil.
	Trace map[string]string
	// Body is the encoded message.
	Body []byte
}

// Encode returns the envelope of a message that app publishes, with the trace of ctx and a new id. An error means
// that the message cannot be published; see [ErrUnpublishable].
func Encode(ctx context.Context, m Message, app string) (Envelope, error) {
	if err := m.check(); err != nil {
		return Envelope{}, err
	}
	body, err := proto.Marshal(m.Body)
	if err != nil {
		return Envelope{}, fmt.Errorf("encode: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Envelope{}, fmt.Errorf("create a message id: %w", err)
	}
	trace := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, trace)
	return Envelope{
		Type: string(proto.MessageName(m.Body)), ContentType: ContentType,
		ID: id.String(), JobID: m.JobID, App: app, PublishedAt: time.Now().UTC(),
		Attempt: max(m.Attempt, 1), Trace: trace, Body: body,
	}, nil
}

// CanForward reports whether a message can be forwarded to the queue; see [Publisher].
func CanForward(to Queue) bool { return to == Events || to == Returned }

// String names the message in errors and logs.
func (e Envelope) String() string { return nameOf(protoreflect.FullName(e.Type).Name(), e.JobID) }

// Created returns when the message was created, by the clock of its publisher: the time in its ID, which is a UUIDv7 with a
// precision of milliseconds, or else PublishedAt, which has whole seconds in AMQP.
func (e Envelope) Created() time.Time {
	const timed = 7
	if id, err := uuid.Parse(e.ID); err == nil && id.Version() == timed {
		return time.Unix(id.Time().UnixTime())
	}
	return e.PublishedAt
}

// check returns the reason why the message cannot be published, or nil. It does not check that the body can be encoded.
func (m Message) check() error {
	if m.Body == nil {
		return errors.New("the message has no body")
	}
	queues, routed := QueuesOf(m.Body)
	switch {
	case !routed:
		return fmt.Errorf("a %s has no route", proto.MessageName(m.Body))
	case !m.Returned && m.Delay != 0:
		return errors.New("only a returned command can be delayed")
	case !m.Returned:
		return nil
	case !slices.Contains(queues, Commands):
		return fmt.Errorf("a %s cannot be returned, only a command can", proto.MessageName(m.Body))
	case m.Delay != 0 && !slices.Contains(retryDelays, m.Delay):
		return fmt.Errorf("the delay %s is not in the retry schedule", m.Delay)
	default:
		return nil
	}
}

// String names the message in errors and logs.
func (m Message) String() string {
	name := protoreflect.Name("message without a body")
	if m.Body != nil {
		name = proto.MessageName(m.Body).Name()
	}
	return nameOf(name, m.JobID)
}

func nameOf(kind protoreflect.Name, job string) string {
	if job == "" {
		return string(kind)
	}
	return string(kind) + " of job " + job
}

// Death is why a message was moved to a dead-letter queue.
type Death string

const (
	// DeliveryLimit means that the message was returned to its queue too often.
	DeliveryLimit Death = "delivery_limit"
	// Rejected means that a consumer dead-lettered the message.
	Rejected Death = "rejected"
)

// Delivery is a message as a consumer receives it. The contents of its envelope come from the publisher and are not
// verified.
type Delivery struct {
	Envelope

	// DeliveryCount is the number of earlier deliveries after which the message was returned to its queue.
	DeliveryCount int
	// Death is the reason why the message is in DeadCommands or DeadEvents; it is empty in any other queue. Values other
	// than the constants are the broker's own.
	Death Death

	deadLetter bool
}

// Message decodes the body. Every error is an [ErrMalformed].
func (d *Delivery) Message() (proto.Message, error) {
	if d.ContentType != ContentType {
		return nil, fmt.Errorf("%w: content type %q, want %s", ErrMalformed, d.ContentType, ContentType)
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(d.Type))
	if err != nil {
		return nil, fmt.Errorf("%w: unknown type %q", ErrMalformed, d.Type)
	}
	decoded := kind.New().Interface()
	if err := proto.Unmarshal(d.Body, decoded); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: decode a %s", ErrMalformed, d.Type), err)
	}
	return decoded, nil
}

// Context returns ctx with the trace that the message belongs to. Handlers of [Each] have it already.
func (d *Delivery) Context(ctx context.Context) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(d.Trace))
}

// DeadLetter marks the delivery, in a handler of [Batches], to be dead-lettered when the handler returns nil. It is for
// deliveries that are wrong for good, and has no effect in a handler of [Each].
func (d *Delivery) DeadLetter() { d.deadLetter = true }

// DeadLettered reports whether the delivery is marked. It is for implementations of [Broker].
func (d *Delivery) DeadLettered() bool { return d.deadLetter }

// Reset removes the mark before a batch is retried. It is for implementations of [Broker].
func (d *Delivery) Reset() { d.deadLetter = false }
