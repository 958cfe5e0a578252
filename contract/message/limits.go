package message

import "time"

// The limits of the queues. Every implementation of [Broker] applies them.
const (
	// CommandsDeliveryLimit is the number of times that a command may return to the queue Commands, without having been
	// acknowledged, before it is dead-lettered. When a converter dies, the broker counts a delivery for each command that it
	// holds, whichever was the cause. So a converter publishes a command again, as a returned one, before it reaches the
	// limit.
	CommandsDeliveryLimit = 4
	// ReturnedDeliveryLimit is the same for the queue Returned. It is larger because it only protects against converters
	// that die before they can publish.
	ReturnedDeliveryLimit = 20
	// EventsDeliveryLimit is the same for events. It is larger because a lost event leaves a job without an end.
	EventsDeliveryLimit = 20
	// MaxCommands is the maximum number of commands that wait in the queue Commands. Further ones are rejected with
	// [ErrNacked]. At 1 s per command and 4 slots, the limit is 7 hours of work. Gateways accept no more jobs at a lower
	// number, and when the commands would take too long.
	MaxCommands = 100_000
	// MaxProgress is the maximum number of messages in the queue Progress. When it is exceeded, the oldest message is
	// dropped. 100 conversions publish this many in 2.5 s.
	MaxProgress = 1000
	// ProgressLifetime is how long a message waits in the queue Progress before it is dropped.
	ProgressLifetime = time.Minute
)
