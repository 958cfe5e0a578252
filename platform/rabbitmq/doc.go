// Package rabbitmq implements [message.Broker] on RabbitMQ, and owns everything that Docmill has there: exchanges,
// queues, their arguments and bindings; see topology.go.
//
// A publisher returns when every queue has confirmed the message; a consumer acknowledges only what has been done.
// Both keep a connection of their own, because a broker that runs out of memory or disk blocks connections that
// publish. Each connection is supervised here, never by the library's recovery: after a recovery, delivery tags start
// again at 1, and a handler that finishes late acknowledges another message without an error (reproduced on RabbitMQ
// 3.10, 4.0 and 4.3). Here, a connection that has lost anything (itself, its channel, its subscription) is dropped as
// a whole and a new one is made; what was unacknowledged on the old one is delivered again.
package rabbitmq
