package rabbitmq

// SetInFlight limits the unconfirmed messages of the broker's publishers.
func (b *Broker) SetInFlight(n int) { b.inFlight = n }
