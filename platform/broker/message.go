package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/platform/topology"
)

const (
	// contentType says how bodies are encoded.
	contentType = "application/protobuf"
	// attemptHeader counts the attempts at a job. It is a header of our own because the broker's x-death is ignored
	// when a client sets it, from 4.0 on.
	attemptHeader = "docmill-attempt"
)

// Message is what Publish sends.
type Message struct {
	// Body is one of the messages that topology.Route knows; its type decides where it goes.
	Body proto.Message
	// JobID becomes the correlation id.
	JobID string
	// Attempt is the job's attempt that the message asks for or tells of, counted from 1. 0 stands for 1.
	Attempt int
	// Queue, when it is not empty, names the one queue that the message goes to, past the exchange: a step of
	// topology.Ladder.
	Queue string
}

// what names the message in errors.
func (m Message) what() string {
	name := "nothing"
	if m.Body != nil {
		name = string(proto.MessageName(m.Body).Name())
	}
	return fmt.Sprintf("%s of job %s", name, m.JobID)
}

// route gives the exchange and the routing key.
func (m Message) route() (exchange, key string, err error) {
	if m.Queue != "" {
		return "", m.Queue, nil // the default exchange leads to the queue of that name
	}
	exchange, key, found := topology.Route(m.Body)
	if !found {
		return "", "", fmt.Errorf("%T has no route", m.Body)
	}
	return exchange, key, nil
}

// publishing encodes the message, with the trace of ctx in its headers.
func (m Message) publishing(ctx context.Context, app string) (amqp.Publishing, error) {
	if m.Body == nil {
		return amqp.Publishing{}, errors.New("it has no body")
	}
	body, err := proto.Marshal(m.Body)
	if err != nil {
		return amqp.Publishing{}, fmt.Errorf("encode: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return amqp.Publishing{}, fmt.Errorf("make a message id: %w", err)
	}
	carried := headers{attemptHeader: int32(max(m.Attempt, 1))}
	propagation.TraceContext{}.Inject(ctx, carried)
	return amqp.Publishing{
		Headers:     amqp.Table(carried),
		ContentType: contentType,
		// Always: a copy that is dead-lettered keeps the mode of the original.
		DeliveryMode:  amqp.Persistent,
		CorrelationId: m.JobID,
		MessageId:     id.String(),
		Timestamp:     time.Now().UTC(),
		Type:          string(proto.MessageName(m.Body)),
		AppId:         app,
		Body:          body,
	}, nil
}

// headers carry trace context for OpenTelemetry's propagator.
type headers amqp.Table

// Get gives a header that is a string, or "".
func (h headers) Get(key string) string {
	value, _ := h[key].(string)
	return value
}

// Set sets a header.
func (h headers) Set(key, value string) { h[key] = value }

// Keys lists the headers' names.
func (h headers) Keys() []string {
	keys := make([]string, 0, len(h))
	for key := range h {
		keys = append(keys, key)
	}
	return keys
}
