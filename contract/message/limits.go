package message

// The limits of the queues. Every implementation of [Broker] applies them.
const (
	// CommandsDeliveryLimit is how often a command may return to its queue, without having been acknowledged, before
	// it is dead-lettered. A document that kills its converter does so at most once more than this. The other
	// deliveries that the same converter holds count one more each time, so a smaller limit would give up innocent
	// commands.
	CommandsDeliveryLimit = 4
	// EventsDeliveryLimit is the same for events. It is larger because a lost event leaves a job without an end.
	EventsDeliveryLimit = 20
	// MaxCommands is how many commands may wait. Beyond it [ErrNacked] rejects further ones and the gateway answers
	// 503: an honest refusal now is better than a queue of days. At 1 s per command and 4 slots it is 7 hours of
	// work.
	MaxCommands = 100_000
)
