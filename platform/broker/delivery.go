package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Delivery is one message as the broker delivered it. Its fields are what the publisher said, unverified.
type Delivery struct {
	// Type is the full name of the body's protobuf message; ContentType says how it is encoded.
	Type, ContentType string
	// JobID is the correlation id, MessageID the id of this message: a redelivery has the same one.
	JobID, MessageID string
	// App is the service that published the message, and PublishedAt when, in whole seconds of its clock.
	App         string
	PublishedAt time.Time
	// Attempt is the job's attempt that the message is about, counted from 1.
	Attempt int
	// DeliveryCount is how often the message was delivered before and came back. The broker dead-letters it when that
	// exceeds the queue's limit. Every message of a dead consumer's prefetch counts, whether it was begun or not.
	DeliveryCount int
	// Death is why the broker last moved the message from one queue to another: "delivery_limit", "rejected",
	// "expired" or "maxlen". Empty when it is in its first queue.
	Death string
	// Body is the encoded message.
	Body []byte

	headers amqp.Table
	tag     uint64
	refused bool
}

func newDelivery(d *amqp.Delivery) *Delivery {
	return &Delivery{
		Type: d.Type, ContentType: d.ContentType, JobID: d.CorrelationId, MessageID: d.MessageId,
		App: d.AppId, PublishedAt: d.Timestamp, Body: d.Body,
		Attempt:       max(integer(d.Headers[attemptHeader]), 1),
		DeliveryCount: integer(d.Headers["x-delivery-count"]),
		Death:         lastDeath(d.Headers),
		headers:       d.Headers,
		tag:           d.DeliveryTag,
	}
}

// Message decodes the body into a message of the type that the delivery names. The type has to be linked into the
// program; package topology links those of Docmill. Every error is ErrMalformed.
func (d *Delivery) Message() (proto.Message, error) {
	if d.ContentType != contentType {
		return nil, fmt.Errorf("%w: content type %q instead of %s", ErrMalformed, d.ContentType, contentType)
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(d.Type))
	if err != nil {
		return nil, fmt.Errorf("%w: unknown type %q", ErrMalformed, d.Type)
	}
	message := kind.New().Interface()
	if err := proto.Unmarshal(d.Body, message); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: decode a %s", ErrMalformed, d.Type), err)
	}
	return message, nil
}

// Context gives ctx with the trace that the message belongs to. Handlers of Each have it already.
func (d *Delivery) Context(ctx context.Context) context.Context {
	return propagation.TraceContext{}.Extract(ctx, headers(d.headers))
}

// DeadLetter makes a handler of Batches have this one delivery dead-lettered when it returns nil for the batch, while the
// others are acknowledged. For deliveries that are wrong for good; it has no effect in a handler of Each.
func (d *Delivery) DeadLetter() { d.refused = true }

// integer reads a header that is a number; brokers and clients choose its width differently.
func integer(value any) int {
	switch n := value.(type) {
	case int:
		return n
	case int64:
		return int(n)
	case int32:
		return int(n)
	case int16:
		return int(n)
	case int8:
		return int(n)
	case uint32:
		return int(n)
	case uint16:
		return int(n)
	case uint8:
		return int(n)
	default:
		return 0
	}
}

// lastDeath reads the broker's record of dead-lettering, whose first entry is the latest.
func lastDeath(headers amqp.Table) string {
	deaths, _ := headers["x-death"].([]any)
	if len(deaths) == 0 {
		return ""
	}
	latest, _ := deaths[0].(amqp.Table)
	reason, _ := latest["reason"].(string)
	return reason
}
