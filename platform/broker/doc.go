// Package broker speaks to RabbitMQ for Docmill: a Publisher that returns when the broker has the message for good, and a
// Consumer that acknowledges only what has been done.
//
// Both keep a connection of their own, because a broker in need of memory or disk blocks connections that publish. Each
// connection is supervised here and never by the library's recovery: after that one, delivery tags start again at 1 and
// a worker that finishes late acknowledges somebody else's message without an error (reproduced on RabbitMQ 3.10, 4.0
// and 4.3). Here a connection that lost anything (itself, its channel, its subscription) is dropped whole, and a new
// one is made; what was unacknowledged on the old one comes again.
package broker
