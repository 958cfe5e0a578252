// Package topology is the one declaration of what Docmill has in RabbitMQ: exchanges, queues, bindings, routing keys
// and the ladder of delays between attempts. Every service declares all of it whenever it connects, so no service
// depends on another one having started before it, and a broker that lost its disk is furnished again.
//
// It holds on RabbitMQ 3.10 to 4.x. A queue that is declared again with a changed argument is refused by the broker
// (406), so names carry a version, and a change of structure is a new name.
package topology

import (
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Exchanges.
const (
	// Jobs is the topic exchange that every message of a job's life goes through.
	Jobs = "docmill.jobs"
	// Announcements is the fanout exchange on which services tell whoever listens how they are.
	Announcements = "docmill.announcements"
	// Control is the fanout exchange that reaches every running converter.
	Control = "docmill.control"
)

// Queues.
const (
	// Convert is the work queue: one ConvertRequested for each attempt at a conversion.
	Convert = "docmill.convert.v1"
	// ConvertDead holds the commands that were given up: refused for good, or fatal to their worker again and again.
	ConvertDead = "docmill.convert.dead.v1"
	// StatusEvents gets every message of every job's life.
	StatusEvents = "docmill.status.events.v1"
	// StatusDead keeps the events that could not be applied, for a person to look at.
	StatusDead = "docmill.status.dead.v1"
)

const (
	// ConvertDeliveryLimit is how often a command may come back unacknowledged before it is dead-lettered. A document
	// that kills its converter does so at most once more than this. Its neighbours in the same converter's prefetch
	// count one more each time, so a smaller limit would condemn innocents.
	ConvertDeliveryLimit = 4
	// StatusDeliveryLimit is the same for events; it is larger because an event's loss leaves a job without an end.
	StatusDeliveryLimit = 20
	// MaxWaiting bounds the work queue, in messages. Beyond it the broker refuses further submissions and the gateway
	// answers 503: an honest refusal now is better than a queue of days. At 1 s and 4 slots it is 7 hours of work.
	MaxWaiting = 100_000
)

// noDeliveryLimit stands where a queue is meant to have no limit. RabbitMQ 4 takes 20 when none is given, and then drops
// the message, because these queues have no dead letters; -1, its way to say "none", is refused by 3.x.
const noDeliveryLimit = 1_000_000

// Exchange is one exchange; all are durable.
type Exchange struct {
	Name string
	// Kind is "topic" or "fanout".
	Kind string
}

// Queue is one queue; all are durable quorum queues.
type Queue struct {
	Name string
	// DeliveryLimit is how often a message may come back before it is dead-lettered, or dropped without DeadLetters.
	DeliveryLimit int
	// DeadLetters is the queue that refused and expired messages go to. Empty: none.
	DeadLetters string
	// TTL is how long a message stays before it expires. 0: for ever.
	TTL time.Duration
	// MaxLength is the number of messages from which on the broker refuses further ones. 0: unbounded.
	MaxLength int
}

// Binding leads messages of an exchange to a queue.
type Binding struct {
	Exchange, RoutingKey, Queue string
}

// Exchanges lists all exchanges.
func Exchanges() []Exchange {
	return []Exchange{{Name: Jobs, Kind: amqp.ExchangeTopic}, {Name: Announcements, Kind: amqp.ExchangeFanout}, {Name: Control, Kind: amqp.ExchangeFanout}}
}

// Queues lists all queues.
func Queues() []Queue {
	queues := []Queue{
		{Name: Convert, DeliveryLimit: ConvertDeliveryLimit, DeadLetters: ConvertDead, MaxLength: MaxWaiting},
		{Name: ConvertDead, DeliveryLimit: noDeliveryLimit},
		{Name: StatusEvents, DeliveryLimit: StatusDeliveryLimit, DeadLetters: StatusDead},
		{Name: StatusDead, DeliveryLimit: noDeliveryLimit},
	}
	for _, step := range Ladder() {
		queues = append(queues, Queue{Name: step.Queue, DeliveryLimit: noDeliveryLimit, DeadLetters: Convert, TTL: step.Delay})
	}
	return queues
}

// Bindings lists all bindings. The queues of the ladder and of dead letters have none: they are reached by their name.
func Bindings() []Binding {
	return []Binding{
		{Exchange: Jobs, RoutingKey: Submitted, Queue: Convert},
		{Exchange: Jobs, RoutingKey: everyEvent, Queue: StatusEvents},
	}
}

// Arguments are the queue's x- arguments as they are declared. The broker ignores those it does not know without a word:
// a test reads back the effective ones.
func (q Queue) Arguments() amqp.Table {
	arguments := amqp.Table{
		amqp.QueueTypeArg:  amqp.QueueTypeQuorum,
		"x-delivery-limit": q.DeliveryLimit,
	}
	if q.DeadLetters != "" {
		arguments["x-dead-letter-exchange"] = "" // the default exchange: straight to the queue of that name
		arguments["x-dead-letter-routing-key"] = q.DeadLetters
		// At least once: the broker keeps the message until the other queue has confirmed it. It needs reject-publish,
		// as the default overflow drops the oldest message.
		arguments["x-dead-letter-strategy"] = "at-least-once"
		arguments[amqp.QueueOverflowArg] = amqp.QueueOverflowRejectPublish
	}
	if q.TTL > 0 {
		arguments[amqp.QueueMessageTTLArg] = q.TTL.Milliseconds()
	}
	if q.MaxLength > 0 {
		arguments[amqp.QueueMaxLenArg] = q.MaxLength
		arguments[amqp.QueueOverflowArg] = amqp.QueueOverflowRejectPublish
	}
	return arguments
}

// Declare declares everything on an open channel. It is idempotent. An error closes the channel: that is how AMQP
// answers a declaration that contradicts what is there.
func Declare(channel *amqp.Channel) error {
	for _, e := range Exchanges() {
		if err := channel.ExchangeDeclare(e.Name, e.Kind, true, false, false, false, nil); err != nil {
			return fmt.Errorf("declare the exchange %s: %w", e.Name, err)
		}
	}
	for _, q := range Queues() {
		if _, err := channel.QueueDeclare(q.Name, true, false, false, false, q.Arguments()); err != nil {
			return fmt.Errorf("declare the queue %s: %w", q.Name, err)
		}
	}
	for _, b := range Bindings() {
		if err := channel.QueueBind(b.Queue, b.RoutingKey, b.Exchange, false, nil); err != nil {
			return fmt.Errorf("bind the queue %s to %s: %w", b.Queue, b.Exchange, err)
		}
	}
	return nil
}
