package servers

import (
	"context"
	"fmt"
	"slices"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Messages returns the number of messages in each durable queue of a vhost, including those that were delivered and are not
// acknowledged. The broker updates it every 5 s.
func (r *RabbitMQ) Messages(ctx context.Context, vhost string) (map[string]int, error) {
	queues, err := r.durableQueues(ctx, vhost)
	messages := make(map[string]int, len(queues))
	for _, queue := range queues {
		messages[queue.Name] = queue.Messages
	}
	return messages, err
}

// Redeliveries returns how many deliveries from each durable queue of a vhost were not the first one of their message, for the
// queues that have had messages. The broker updates it every 5 s.
func (r *RabbitMQ) Redeliveries(ctx context.Context, vhost string) (map[string]int, error) {
	queues, err := r.durableQueues(ctx, vhost)
	redeliveries := make(map[string]int, len(queues))
	for _, queue := range queues {
		if queue.MessageStats != nil {
			redeliveries[queue.Name] = int(queue.MessageStats.Redeliver)
		}
	}
	return redeliveries, err
}

func (r *RabbitMQ) durableQueues(ctx context.Context, vhost string) ([]rabbithole.QueueInfo, error) {
	client, err := r.client(ctx)
	if err != nil {
		return nil, err
	}
	queues, err := client.ListQueuesIn(vhost)
	if err != nil {
		return nil, fmt.Errorf("list the queues of vhost %s: %w", vhost, err)
	}
	return slices.DeleteFunc(queues, func(queue rabbithole.QueueInfo) bool { return !queue.Durable }), nil
}

// MessageTypes returns the types of the messages in a queue, at most 1,000. It leaves them in the queue, but the broker
// counts a delivery for each of them.
func (r *RabbitMQ) MessageTypes(ctx context.Context, vhost, queue string) ([]string, error) {
	const most = 1000
	connection, err := amqp.DialConfig(r.URL+"/"+vhost, amqp.Config{
		SASL: []amqp.Authentication{&amqp.PlainAuth{Username: r.Username, Password: r.Password}},
	})
	if err != nil {
		return nil, fmt.Errorf("connect to read queue %s: %w", queue, err)
	}
	defer connection.Close() // returns the messages
	channel, err := connection.Channel()
	if err != nil {
		return nil, fmt.Errorf("open a channel to read queue %s: %w", queue, err)
	}
	var types []string
	for len(types) < most && ctx.Err() == nil {
		got, found, err := channel.Get(queue, false)
		if err != nil {
			return nil, fmt.Errorf("read queue %s: %w", queue, err)
		}
		if !found {
			break
		}
		types = append(types, got.Type)
	}
	return types, ctx.Err()
}

// Leader returns the name of the node that leads a quorum queue; see [RabbitMQ.Node].
func (r *RabbitMQ) Leader(ctx context.Context, vhost, queue string) (string, error) {
	client, err := r.client(ctx)
	if err != nil {
		return "", err
	}
	found, err := client.GetQueue(vhost, queue)
	if err != nil {
		return "", fmt.Errorf("find the leader of queue %s: %w", queue, err)
	}
	return found.Leader, nil
}

// LimitQueue makes the broker reject messages beyond a number of them in a queue, until UnlimitQueue.
func (r *RabbitMQ) LimitQueue(ctx context.Context, vhost, queue string, messages int) error {
	client, err := r.client(ctx)
	if err != nil {
		return err
	}
	response, err := client.PutPolicy(vhost, limitPolicy, rabbithole.Policy{
		Pattern: "^" + queue + "$", ApplyTo: "queues", Definition: rabbithole.PolicyDefinition{"max-length": messages},
	})
	if err := finish(response, err); err != nil {
		return fmt.Errorf("limit queue %s: %w", queue, err)
	}
	return nil
}

// UnlimitQueue ends LimitQueue.
func (r *RabbitMQ) UnlimitQueue(ctx context.Context, vhost string) error {
	client, err := r.client(ctx)
	if err != nil {
		return err
	}
	response, err := client.DeletePolicy(vhost, limitPolicy)
	if err := finish(response, err); err != nil {
		return fmt.Errorf("remove the limit of a queue: %w", err)
	}
	return nil
}

const limitPolicy = "limit"
