// Package message defines how the services exchange messages, independent of what carries them: a [Broker] opens
// publishers, which return once a message is durable, and consumers, which acknowledge a message only after its
// effect is.
//
// Package rabbitmq implements it for the three services, package sqlitequeue for the single-process edition. Every
// implementation must pass the conformance suite in package messagetest.
package message

import (
	"cmp"
	"context"
	"time"

	"google.golang.org/protobuf/proto"
)

// Queue identifies a queue that messages are consumed from. The implementations map it to their own names.
type Queue int

const (
	// Commands holds one ConvertRequested per attempt at a conversion. Converters consume it; each message goes to
	// one of them.
	Commands Queue = iota + 1
	// Events receives every message about a job except its progress, and the marks of the status service. The status
	// service consumes it.
	Events
	// DeadCommands receives the commands that were abandoned: dead-lettered by a consumer, or returned to the queue
	// more often than its delivery limit allows. The status service consumes it.
	DeadCommands
	// Announcements is a fan-out: every consumer gets its own copy of what is published while it consumes. Nothing is
	// kept for a consumer that is away.
	Announcements
	// Returned holds the commands that a converter has published again: for another attempt, or because the converter
	// stopped. Converters consume it beside Commands. It has no limit, so an accepted job never competes with new
	// submissions for a place.
	Returned
	// DeadEvents receives the events that were dead-lettered, as DeadCommands does for commands. No service consumes it:
	// an operator moves the events back with package redrive after fixing the cause.
	DeadEvents
	// Progress receives the progress of jobs. It keeps the newest [MaxProgress] messages, for [ProgressLifetime] if the
	// implementation supports expiration, and need not survive a restart: a job has up to four such messages per second, which
	// would fill a disk while nothing can apply them. The status service consumes it; each message goes to one of its
	// replicas.
	Progress
)

// String returns the queue's name in logs and metrics.
func (q Queue) String() string {
	switch q {
	case Commands:
		return "commands"
	case Events:
		return "events"
	case DeadCommands:
		return "dead-commands"
	case Announcements:
		return "announcements"
	case Returned:
		return "returned"
	case DeadEvents:
		return "dead-events"
	case Progress:
		return "progress"
	default:
		return "unknown"
	}
}

// Message is what a Publisher publishes.
type Message struct {
	// Body is one of the messages of package conversionv1. Its type decides which queues receive it; see [QueuesOf].
	Body proto.Message
	// JobID is the job that the message is about; empty for announcements and marks.
	JobID string
	// Attempt is the attempt at the job that the message requests or reports, counted from 1. 0 means 1.
	Attempt int
	// Returned marks a command that is published again: it is routed only to the queue Returned.
	Returned bool
	// Delay is how long a returned command waits before it is delivered: 0, or one of the delays that
	// [DelayAfter] returns.
	Delay time.Duration
}

// Broker opens publishers and consumers. Its methods do not connect: what they return connects when it runs.
type Broker interface {
	NewPublisher(options PublisherOptions) (Publisher, error)
	NewConsumer(queue Queue, handler Handler, options ConsumerOptions) (Consumer, error)
}

// Runner is a component of a service; see package host, whose Component has the same contract.
type Runner interface {
	// Run works until drain is closed, finishes its work in progress and returns nil. It calls ready once. When ctx is
	// canceled it returns within [AbandonGrace]; whatever is unfinished is delivered again. Run is called once.
	Run(ctx context.Context, ready func(), drain <-chan struct{}) error
	// Check returns nil while the component can do its work, for readiness. A consumer that takes no deliveries is not
	// ready.
	Check(ctx context.Context) error
}

// AbandonGrace is how long a Consumer whose context is canceled waits for its handlers, whose contexts end with it. A
// delivery can still be acknowledged in that time: a handler can pass its work on to another consumer.
const AbandonGrace = 2 * time.Second

// Publisher publishes messages. It is safe for concurrent use, and fastest when many goroutines publish at once.
type Publisher interface {
	Runner
	// Publish returns nil once every queue that receives the message holds it durably, except Progress. Otherwise its error is a
	// [*PublishError]; [NotEnqueued] reports whether the message is certain not to be in any queue. It returns at the
	// latest when ctx ends.
	Publish(ctx context.Context, m Message) error
	// Forward publishes a message that was taken from a dead-letter queue to one queue, Events or Returned, and to no other. The
	// envelope is published unchanged, even if its type is unknown. Forward returns the same errors as Publish. If it returns nil,
	// the caller acknowledges the delivery.
	Forward(ctx context.Context, e Envelope, to Queue) error
	// Depth returns how many messages wait in a queue, without those that consumers work on or that are delayed. It costs a
	// request to the broker, whose count may lag behind. It returns an error for Announcements.
	Depth(ctx context.Context, queue Queue) (int, error)
}

// PublisherOptions are the optional parts of a Publisher. Zero values select the defaults.
type PublisherOptions struct {
	// Wait is how long Publish waits until a message can be sent: for a connection, for an alarm to end, for its turn.
	// Default 5 s, which covers a lost connection but not the restart of a broker.
	Wait time.Duration
	// ConfirmTimeout is how long Publish waits for the confirmation of a message that was sent. Default 30 s.
	ConfirmTimeout time.Duration
}

// The defaults of PublisherOptions and ConsumerOptions.
const (
	defaultWait           = 5 * time.Second
	defaultConfirmTimeout = 30 * time.Second
	// defaultRetryFor must be less than RabbitMQ's consumer_timeout, which is 30 minutes by default.
	defaultRetryFor = 10 * time.Minute
)

// WithDefaults returns the options with the defaults in place of zero values. It is for implementations of [Broker].
func (o PublisherOptions) WithDefaults() PublisherOptions {
	o.Wait = cmp.Or(o.Wait, defaultWait)
	o.ConfirmTimeout = cmp.Or(o.ConfirmTimeout, defaultConfirmTimeout)
	return o
}

// Consumer consumes one queue.
type Consumer = Runner

// ConsumerOptions are the optional parts of a Consumer. Zero values select the defaults.
type ConsumerOptions struct {
	// RetryFor is how long a failing batch is held and retried before it is returned to its queue. Default 10 minutes.
	RetryFor time.Duration
	// Ready reports whether the handler could do its work now, for example whether its database answers. The consumer
	// takes no deliveries before Ready returns nil, because every delivery that is taken and returned counts against
	// the queue's delivery limit. Later it is asked after a handler has returned Requeue or Suspend. It must obey ctx. Nil means
	// always.
	Ready func(ctx context.Context) error
}

// WithDefaults returns the options with the defaults in place of zero values. It is for implementations of [Broker].
func (o ConsumerOptions) WithDefaults() ConsumerOptions {
	o.RetryFor = cmp.Or(o.RetryFor, defaultRetryFor)
	return o
}

// Handler is what a Consumer does with deliveries: [Each] or [Batches].
type Handler interface{ handler() }

// Each handles deliveries one by one.
type Each struct {
	// Concurrency is how many deliveries are handled at once, and how many are taken from the queue: a delivery is
	// only taken by a handler that starts on it, because each one that a dying consumer holds counts as delivered
	// once more. At least 1.
	Concurrency int
	// Handle handles one delivery. Its ctx carries the message's trace. It ends with [ErrConnectionLost] as its cause
	// when the delivery is lost: the message is then delivered again, possibly while Handle still runs, so Handle
	// should stop at once. It also ends when a drain has taken too long: Handle then has [AbandonGrace] to return.
	Handle func(ctx context.Context, d *Delivery) Outcome
}

// Batches handles deliveries in batches: the first that arrives and those that are there at once. It does not wait for
// more; under load, batches grow while the previous one is being handled.
type Batches struct {
	// Max is the largest batch. At least 1.
	Max int
	// Handle handles a batch in order. It returns nil once the effect of the whole batch is durable: deliveries that
	// it marked with [Delivery.DeadLetter] are dead-lettered, the others acknowledged. On error the same batch is
	// retried, with growing delays, for ConsumerOptions.RetryFor; so Handle must be idempotent. Each delivery carries
	// its own trace.
	Handle func(ctx context.Context, batch []*Delivery) error
}

func (Each) handler()    {}
func (Batches) handler() {}

// Outcome is what happens to a delivery after its handler returned.
type Outcome int

const (
	// Requeue returns the delivery to its queue, for immediate redelivery to any consumer. It is for a consumer that
	// cannot go on, not for a message that failed: publish a failed command as Returned and acknowledge it instead.
	// It counts as a delivery if the handler's context has ended. Otherwise it depends on the broker: RabbitMQ counts it
	// before version 4.3.
	Requeue Outcome = iota
	// Ack removes the delivery from its queue: its effect is durable.
	Ack
	// DeadLetter abandons the delivery. A command goes to DeadCommands, an event to DeadEvents; an announcement or
	// progress is dropped.
	DeadLetter
	// Suspend acknowledges the delivery, and the consumer takes no further deliveries until ConsumerOptions.Ready returns nil.
	// It is for a handler that cannot work at present and has published the command again. Deliveries that were taken before
	// are still handled.
	Suspend
)

// String returns the outcome's name in logs and metrics.
func (o Outcome) String() string {
	switch o {
	case Ack, Suspend:
		return "acked"
	case DeadLetter:
		return "dead_lettered"
	default:
		return "requeued"
	}
}
