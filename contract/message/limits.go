package message

// The limits of the queues. Every implementation of [Broker] applies them.
const (
	// CommandsDeliveryLimit is the number of times that a command may return to its queue, without having been
	// acknowledged, before it is dead-lettered. A document that kills its converter does so at most once more than this.
	// The other deliveries that the same converter holds are counted as well each time, so a smaller limit would
	// dead-letter innocent commands.
	CommandsDeliveryLimit = 4
	// EventsDeliveryLimit is the same for events. It is larger because a lost event leaves a job without an end.
	EventsDeliveryLimit = 20
	// MaxCommands is the maximum number of waiting commands. Further ones are rejected with [ErrNacked], and the gateway
	// answers 503: a rejection is better than a queue that takes days. At 1 s per command and 4 slots, the limit is
	// 7 hours of work.
	MaxCommands = 100_000
)
