package rabbitmq

import (
	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/propagation"

	"github.com/docmill/docmill/contract/message"
)

// attemptHeader counts the attempts at a job. It is a header of our own because brokers from 4.0 on ignore an x-death
// that a client sets.
const attemptHeader = "docmill-attempt"

// publishingOf returns the envelope as AMQP carries it.
func publishingOf(e message.Envelope) amqp.Publishing {
	headers := amqp.Table{attemptHeader: int32(e.Attempt)}
	for name, value := range e.Trace {
		headers[name] = value
	}
	return amqp.Publishing{
		Headers:     headers,
		ContentType: e.ContentType,
		// Always: a copy that is dead-lettered keeps the mode of the original.
		DeliveryMode:  amqp.Persistent,
		CorrelationId: e.JobID,
		MessageId:     e.ID,
		Timestamp:     e.PublishedAt,
		Type:          e.Type,
		AppId:         e.App,
		Body:          e.Body,
	}
}

// delivery is a message with the tag that settles it.
type delivery struct {
	*message.Delivery

	tag uint64
}

// deliveryOf returns what AMQP delivered from the queue. Timestamps have whole seconds.
func deliveryOf(queue message.Queue, d *amqp.Delivery) delivery {
	decoded := &message.Delivery{
		Envelope: message.Envelope{
			Type: d.Type, ContentType: d.ContentType, ID: d.MessageId, JobID: d.CorrelationId,
			App: d.AppId, PublishedAt: d.Timestamp, Attempt: max(integer(d.Headers[attemptHeader]), 1),
			Trace: traceOf(d.Headers), Body: d.Body,
		},
		DeliveryCount: integer(d.Headers["x-delivery-count"]),
	}
	if queue == message.DeadCommands || queue == message.DeadEvents { // a command whose retry delay has "expired" is not dead
		decoded.Death = lastDeath(d.Headers)
	}
	return delivery{Delivery: decoded, tag: d.DeliveryTag}
}

// traceOf returns the headers of the trace context that are strings.
func traceOf(headers amqp.Table) map[string]string {
	var trace map[string]string
	for _, name := range (propagation.TraceContext{}).Fields() {
		if value, ok := headers[name].(string); ok {
			if trace == nil {
				trace = map[string]string{}
			}
			trace[name] = value
		}
	}
	return trace
}

// integer returns the value of a header that is a number; brokers and clients choose its width differently.
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

// lastDeath returns the reason in the latest entry of the broker's record of dead-lettering, which is the first.
func lastDeath(headers amqp.Table) message.Death {
	deaths, _ := headers["x-death"].([]any)
	if len(deaths) == 0 {
		return ""
	}
	latest, _ := deaths[0].(amqp.Table)
	reason, _ := latest["reason"].(string)
	return message.Death(reason)
}
