package messagetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
)

// The functions of this file are for tests of the services, which publish and consume messages without code of a
// service.

// receiveTimeout is how long Take waits; the machine may be busy.
const receiveTimeout = 2 * time.Minute

// Publisher returns a running publisher. It is stopped when the test ends.
func Publisher(tb testing.TB, b message.Broker) message.Publisher {
	tb.Helper()
	p, err := b.NewPublisher(message.PublisherOptions{Wait: receiveTimeout})
	require.NoError(tb, err)
	background(tb, p)
	return p
}

// Receive returns the messages of a queue. Each is acknowledged when it is received from the channel. Consuming stops
// when the test ends.
func Receive(tb testing.TB, b message.Broker, queue message.Queue) <-chan *message.Delivery {
	tb.Helper()
	deliveries, _ := receive(tb, b, queue)
	return deliveries
}

// Take waits for a message of a queue, acknowledges it and stops consuming.
func Take(tb testing.TB, b message.Broker, queue message.Queue) *message.Delivery {
	tb.Helper()
	deliveries, stop := receive(tb, b, queue)
	defer stop()
	timeout := time.NewTimer(receiveTimeout)
	defer timeout.Stop()
	select {
	case d := <-deliveries:
		return d
	case <-timeout.C:
		require.FailNow(tb, "no message arrived", "in %s", queue)
		return nil
	}
}

func receive(tb testing.TB, b message.Broker, queue message.Queue) (deliveries <-chan *message.Delivery, stop func()) {
	tb.Helper()
	received, stopped := make(chan *message.Delivery), make(chan struct{})
	handler := message.Each{Concurrency: 1, Handle: func(ctx context.Context, d *message.Delivery) message.Outcome {
		select {
		case received <- d:
			return message.Ack
		case <-stopped:
			return message.Requeue
		case <-ctx.Done():
			return message.Requeue
		}
	}}
	c, err := b.NewConsumer(queue, handler, message.ConsumerOptions{})
	require.NoError(tb, err)
	drain := background(tb, c)
	return received, func() {
		close(stopped)
		drain()
	}
}

// background runs r until the test ends, or until drain, which waits for its end.
func background(tb testing.TB, r message.Runner) (drain func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	draining, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- r.Run(ctx, func() {}, draining) }()
	tb.Cleanup(func() {
		cancel()
		require.NoError(tb, <-ended)
	})
	return func() {
		close(draining)
		err := <-ended
		ended <- err // for the cleanup
	}
}
