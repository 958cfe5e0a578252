// Package rabbitmq implements [message.Broker] on RabbitMQ. It owns Docmill's exchanges and queues there, with their
// arguments and bindings; see topology.go.
//
// Publish returns when every queue has confirmed the message; a consumer acknowledges only completed work.
// Both keep a connection of their own, because a broker that runs out of memory or disk blocks connections that
// publish. Each connection is supervised here, never by the library's recovery: after a recovery, delivery tags start
// again at 1, and a handler that finishes late acknowledges another message without an error (reproduced on RabbitMQ
// 3.10, 4.0 and 4.3). Here, a connection that fails in any way (it is lost, or its channel or its subscription) is
// closed as a whole and a new one is opened; unacknowledged messages are delivered again.
package rabbitmq
