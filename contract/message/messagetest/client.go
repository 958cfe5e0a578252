package messagetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
)

// The functions of this file are for tests of the services, which publish and consume messages without code of a service.

// receiveTimeout is how long Take waits; the machine may be busy.
const receiveTimeout = 2 * time.Minute

// Publisher returns a running publisher. It is stopped when the test ends.
func Publisher(t testing.TB, b message.Broker) message.Publisher {
	t.Helper()
	p, err := b.NewPublisher(message.PublisherOptions{Wait: receiveTimeout})
	require.NoError(t, err)
	background(t, p)
	return p
}

// Receive returns the messages of a queue. Each is acknowledged when it is received from the channel. Consuming stops when
// the test ends.
func Receive(t testing.TB, b message.Broker, queue message.Queue) <-chan *message.Delivery {
	t.Helper()
	deliveries, _ := receive(t, b, queue)
	return deliveries
}

// Take waits for a message of a queue, acknowledges it and stops consuming.
func Take(t testing.TB, b message.Broker, queue message.Queue) *message.Delivery {
	t.Helper()
	deliveries, stop := receive(t, b, queue)
	defer stop()
	timeout := time.NewTimer(receiveTimeout)
	defer timeout.Stop()
	select {
	case d := <-deliveries:
		return d
	case <-timeout.C:
		require.FailNow(t, "no message arrived", "in %s", queue)
		return nil
	}
}

func receive(t testing.TB, b message.Broker, queue message.Queue) (deliveries <-chan *message.Delivery, stop func()) {
	t.Helper()
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
	require.NoError(t, err)
	drain := background(t, c)
	return received, func() {
		close(stopped)
		drain()
	}
}

// background runs r until the test ends, or until drain, which waits for its end.
func background(t testing.TB, r message.Runner) (drain func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	draining, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- r.Run(ctx, func() {}, draining) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return func() {
		close(draining)
		err := <-ended
		ended <- err // for the cleanup
	}
}
