package rabbitmq

import (
	"fmt"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/message"
)

// The topology is the one declaration of what Docmill has in RabbitMQ. Every service declares all of it whenever it
// connects, so no service depends on another one having started before it, and a broker that has lost its disk is set
// up again.
//
// It works on RabbitMQ 3.10 to 4.x. The broker rejects a queue that is declared again with a different argument
// (406), so names carry a version: a queue whose arguments change gets a new name, and one release declares and consumes
// both.

// Exchanges.
const (
	// ExchangeJobs is the direct exchange for every message about a job. Its predecessor, docmill.jobs, was a topic
	// exchange. With topic exchanges, RabbitMQ 4.0 may confirm a binding that another client is still creating before it
	// routes messages by it: a submission at that moment reached only one of its two queues.
	ExchangeJobs = "docmill.jobs.v2"
	// ExchangeAnnouncements is the fanout exchange for announcements.
	ExchangeAnnouncements = "docmill.announcements"
	// ExchangeControl is the fanout exchange that reaches every running converter.
	ExchangeControl = "docmill.control"
)

// Queues.
const (
	// QueueCommands is message.Commands: one ConvertRequested per attempt at a conversion.
	QueueCommands = "docmill.convert.v1"
	// QueueDeadCommands is message.DeadCommands: the commands that were abandoned.
	QueueDeadCommands = "docmill.convert.dead.v1"
	// QueueEvents is message.Events: every message about a job except its progress.
	QueueEvents = "docmill.status.events.v1"
	// QueueProgress is message.Progress. It is a quorum queue like all others: a classic queue would be unavailable while its
	// node is down, and RabbitMQ 4.3 rejects queues that are neither durable nor exclusive.
	QueueProgress = "docmill.status.progress.v1"
	// QueueDeadEvents is message.DeadEvents: the events that could not be applied.
	QueueDeadEvents = "docmill.status.dead.v1"
	// QueueReturned is message.Returned: the commands that were published again.
	QueueReturned = "docmill.convert.returned.v1"
	// retryPrefix and a suffix enclose the delay in the names of the retry queues, which lead to QueueReturned. Those of
	// earlier releases led to QueueCommands, where retries had to compete for places: they remain until none of their
	// commands waits any more.
	retryPrefix, retrySuffix, oldRetrySuffix = "docmill.convert.retry.", ".v2", ".v1"
)

// noDeliveryLimit is for queues that have no limit. Without one, RabbitMQ 4 uses 20 and then drops the message, because
// these queues have no dead letters; -1, which means "none", is rejected by 3.x.
const noDeliveryLimit = 1_000_000

// exchange is an exchange; all are durable.
type exchange struct{ name, kind string }

// queue is a queue; all are durable quorum queues.
type queue struct {
	name string
	// deliveryLimit is how often a message may return before it is dead-lettered, or dropped if deadLetters is empty.
	deliveryLimit int
	// deadLetters is the queue for rejected and expired messages; empty for none.
	deadLetters string
	// ttl is how long a message stays before it expires; 0 for ever.
	ttl time.Duration
	// maxLength is the number of messages beyond which the broker rejects more; 0 for no limit.
	maxLength int
	// dropOldest makes the broker drop the oldest message instead of rejecting the publication.
	dropOldest bool
}

// binding routes messages of an exchange to a queue.
type binding struct{ exchange, routingKey, queue string }

func exchanges() []exchange {
	return []exchange{
		{ExchangeJobs, amqp.ExchangeDirect}, {ExchangeAnnouncements, amqp.ExchangeFanout}, {ExchangeControl, amqp.ExchangeFanout},
	}
}

func queues() []queue {
	all := []queue{
		{
			name: QueueCommands, deliveryLimit: message.CommandsDeliveryLimit, deadLetters: QueueDeadCommands,
			maxLength: message.MaxCommands,
		},
		{name: QueueReturned, deliveryLimit: message.ReturnedDeliveryLimit, deadLetters: QueueDeadCommands},
		{name: QueueDeadCommands, deliveryLimit: noDeliveryLimit},
		{name: QueueEvents, deliveryLimit: message.EventsDeliveryLimit, deadLetters: QueueDeadEvents},
		{name: QueueDeadEvents, deliveryLimit: noDeliveryLimit},
		{
			name: QueueProgress, deliveryLimit: message.EventsDeliveryLimit, ttl: message.ProgressLifetime,
			maxLength: message.MaxProgress, dropOldest: true,
		},
	}
	for _, delay := range message.RetryDelays() {
		all = append(all,
			queue{name: RetryQueue(delay), deliveryLimit: noDeliveryLimit, deadLetters: QueueReturned, ttl: delay},
			queue{name: retryQueue(delay, oldRetrySuffix), deliveryLimit: noDeliveryLimit, deadLetters: QueueCommands, ttl: delay},
		)
	}
	return all
}

// RetryQueue returns the name of the queue that holds commands for the delay. There is one queue for each delay, and no
// delay for a single message, because only the message at the head of a queue expires. A retry queue is reached by its
// name, through the default exchange.
func RetryQueue(delay time.Duration) string { return retryQueue(delay, retrySuffix) }

func retryQueue(delay time.Duration, suffix string) string {
	text := delay.String() // such as 10s, 1m0s or 5m0s
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	return retryPrefix + text + suffix
}

// bindings returns all bindings. The queues for returned commands, retries and dead letters have none: they are reached by
// their names.
func bindings() []binding {
	var all []binding
	for _, route := range message.Routes() {
		if route.Reaches(message.Commands) {
			all = append(all, binding{ExchangeJobs, route.Key, QueueCommands})
		}
		if route.Reaches(message.Events) {
			all = append(all, binding{ExchangeJobs, route.Key, QueueEvents})
		}
		if route.Reaches(message.Progress) {
			all = append(all, binding{ExchangeJobs, route.Key, QueueProgress})
		}
	}
	return all
}

// formerBindings returns the bindings of earlier releases, which are removed at every connect, because services of
// those releases create them whenever they connect.
func formerBindings() []binding {
	return []binding{{ExchangeJobs, "job.progressed", QueueEvents}}
}

// address is where a message is published.
type address struct {
	exchange, key string
	// lossy reports whether the message may be lost: it goes to message.Progress alone.
	lossy bool
}

// directTo returns the address of one queue: the default exchange routes a message to the queue whose name is the routing key.
func directTo(queue string) address { return address{key: queue} }

// addressOf returns the address of a message.
func addressOf(m message.Message) (address, error) {
	switch {
	case m.Delay > 0:
		return directTo(RetryQueue(m.Delay)), nil
	case m.Returned:
		return directTo(QueueReturned), nil
	}
	route, found := message.RouteOf(m.Body)
	switch {
	case !found:
		return address{}, fmt.Errorf("a %s has no route", proto.MessageName(m.Body))
	case route.Reaches(message.Announcements):
		return address{exchange: ExchangeAnnouncements}, nil // a fanout ignores the key
	default:
		lossy := slices.Equal(route.Queues, []message.Queue{message.Progress})
		return address{exchange: ExchangeJobs, key: route.Key, lossy: lossy}, nil
	}
}

// source is what a consumer consumes: the queue, or its own queue at the exchange.
type source struct{ queue, exchange string }

func (s source) String() string { return s.queue + s.exchange }

func sourceOf(q message.Queue) (source, bool) {
	switch q {
	case message.Commands:
		return source{queue: QueueCommands}, true
	case message.Events:
		return source{queue: QueueEvents}, true
	case message.Returned:
		return source{queue: QueueReturned}, true
	case message.DeadCommands:
		return source{queue: QueueDeadCommands}, true
	case message.DeadEvents:
		return source{queue: QueueDeadEvents}, true
	case message.Progress:
		return source{queue: QueueProgress}, true
	case message.Announcements:
		return source{exchange: ExchangeAnnouncements}, true
	default:
		return source{}, false
	}
}

// arguments returns the queue's x- arguments as they are declared. The broker silently ignores those that it does not
// know: a test reads back the effective ones.
func (q queue) arguments() amqp.Table {
	arguments := amqp.Table{
		amqp.QueueTypeArg:  amqp.QueueTypeQuorum,
		"x-delivery-limit": q.deliveryLimit,
	}
	if q.deadLetters != "" {
		arguments["x-dead-letter-exchange"] = "" // the default exchange: straight to the queue of that name
		arguments["x-dead-letter-routing-key"] = q.deadLetters
		// At least once: the broker keeps the message until the other queue has confirmed it. It needs reject-publish,
		// as the default overflow drops the oldest message.
		arguments["x-dead-letter-strategy"] = "at-least-once"
		arguments[amqp.QueueOverflowArg] = amqp.QueueOverflowRejectPublish
	}
	if q.ttl > 0 {
		arguments[amqp.QueueMessageTTLArg] = q.ttl.Milliseconds()
	}
	if q.maxLength > 0 {
		arguments[amqp.QueueMaxLenArg] = q.maxLength
		arguments[amqp.QueueOverflowArg] = amqp.QueueOverflowRejectPublish
	}
	if q.dropOldest {
		arguments[amqp.QueueOverflowArg] = amqp.QueueOverflowDropHead
	}
	return arguments
}

// Declare declares everything on an open channel. It is idempotent. An error closes the channel: that is how AMQP
// answers a declaration that contradicts what is there.
func Declare(channel *amqp.Channel) error {
	for _, e := range exchanges() {
		if err := channel.ExchangeDeclare(e.name, e.kind, true, false, false, false, nil); err != nil {
			return fmt.Errorf("declare the exchange %s: %w", e.name, err)
		}
	}
	for _, q := range queues() {
		if _, err := channel.QueueDeclare(q.name, true, false, false, false, q.arguments()); err != nil {
			return fmt.Errorf("declare the queue %s: %w", q.name, err)
		}
	}
	for _, b := range bindings() {
		if err := channel.QueueBind(b.queue, b.routingKey, b.exchange, false, nil); err != nil {
			return fmt.Errorf("bind the queue %s to %s: %w", b.queue, b.exchange, err)
		}
	}
	for _, b := range formerBindings() {
		if err := channel.QueueUnbind(b.queue, b.routingKey, b.exchange, nil); err != nil {
			return fmt.Errorf("unbind the queue %s from %s: %w", b.queue, b.exchange, err)
		}
	}
	return nil
}
