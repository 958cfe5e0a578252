package rabbitmq

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/docmill/docmill/contract/message"
)

// Depth implements [message.Publisher]. It uses a channel of its own on the publisher's connection, because a declaration
// that fails closes its channel.
func (p *publisher) Depth(ctx context.Context, queue message.Queue) (int, error) {
	source, found := sourceOf(queue)
	if !found || source.queue == "" {
		return 0, fmt.Errorf("get the depth of %s: no such queue", queue)
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	now := p.supervisor.now()
	if err := now.err(); err != nil { // a broker with an alarm would not answer on this connection
		return 0, err
	}
	type answer struct {
		depth int
		err   error
	}
	answered := make(chan answer, 1)
	go func() { // the library has no context for it; it ends with the connection at the latest
		depth, err := depthOf(now.session.conn, source.queue)
		answered <- answer{depth, err}
	}()
	select {
	case a := <-answered:
		return a.depth, a.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func depthOf(connection *amqp.Connection, queue string) (int, error) {
	channel, err := connection.Channel()
	if err != nil {
		return 0, fmt.Errorf("open a channel: %w", err)
	}
	defer channel.Close()
	found, err := channel.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		return 0, fmt.Errorf("inspect the queue %s: %w", queue, err)
	}
	return found.Messages, nil
}
