package rabbitmq_test

import (
	"errors"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/platform/rabbitmq"
)

// TestEffectiveArguments reads back what the broker made of the declaration: it silently accepts arguments that it
// does not know. The names and values are the contract with running brokers: they must not change.
func TestEffectiveArguments(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, rabbitmq.Declare(b.channel()), "again, as every service does")
	queues, err := b.management().ListQueuesIn(b.Vhost)
	require.NoError(t, err)

	const reject, atLeastOnce = "reject-publish", "at-least-once"
	want := map[string]map[string]any{
		"docmill.convert.v1": {
			"x-delivery-limit": 4., "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "docmill.convert.dead.v1",
			"x-dead-letter-strategy": atLeastOnce, "x-overflow": reject, "x-max-length": 100_000.,
		},
		"docmill.convert.dead.v1": {"x-delivery-limit": 1_000_000.},
		"docmill.convert.returned.v1": {
			"x-delivery-limit": 20., "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "docmill.convert.dead.v1",
			"x-dead-letter-strategy": atLeastOnce, "x-overflow": reject,
		},
		"docmill.status.events.v1": {
			"x-delivery-limit": 20., "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "docmill.status.dead.v1",
			"x-dead-letter-strategy": atLeastOnce, "x-overflow": reject,
		},
		"docmill.status.dead.v1": {"x-delivery-limit": 1_000_000.},
		"docmill.status.progress.v1": {
			"x-delivery-limit": 20., "x-max-length": 1000., "x-overflow": "drop-head", "x-message-ttl": 60_000.,
		},
	}
	for delay, ttl := range map[string]float64{"10s": 10_000, "1m": 60_000, "5m": 300_000} {
		for version, to := range map[string]string{"v1": "docmill.convert.v1", "v2": "docmill.convert.returned.v1"} {
			want["docmill.convert.retry."+delay+"."+version] = map[string]any{
				"x-delivery-limit": 1_000_000., "x-dead-letter-exchange": "", "x-dead-letter-routing-key": to,
				"x-dead-letter-strategy": atLeastOnce, "x-overflow": reject, "x-message-ttl": ttl,
			}
		}
	}
	require.Len(t, queues, len(want))
	for _, q := range queues {
		require.Contains(t, want, q.Name)
		arguments := want[q.Name]
		arguments["x-queue-type"] = "quorum"
		require.Equal(t, arguments, q.Arguments, q.Name)
		require.Equal(t, "quorum", q.Type, q.Name)
		require.True(t, q.Durable, q.Name)
	}
}

// TestRoutes publishes with each routing key and checks where the messages are.
func TestRoutes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	channel := b.channel()
	require.NoError(t, channel.Confirm(false))
	for _, key := range []string{
		"job.submitted", "job.started", "job.progressed", "job.retried", "job.succeeded", "job.failed", "status.marked",
	} {
		confirm, err := channel.PublishWithDeferredConfirm(rabbitmq.ExchangeJobs, key, true, false, amqp.Publishing{Type: key})
		require.NoError(t, err)
		require.True(t, confirm.Wait())
	}
	count := func(queue string) int {
		state, err := channel.QueueDeclarePassive(queue, true, false, false, false, nil)
		require.NoError(t, err)
		return state.Messages
	}
	require.Eventually(t, func() bool { return count(rabbitmq.QueueEvents) == 6 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, 1, count(rabbitmq.QueueCommands))
	require.Equal(t, 1, count(rabbitmq.QueueProgress))
}

// TestFormerBindingsAreRemoved: progress is not routed to the queue of the events of a broker that an earlier release has
// set up.
func TestFormerBindingsAreRemoved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	channel := b.channel()
	require.NoError(t, channel.Confirm(false))
	require.NoError(t, channel.QueueBind(rabbitmq.QueueEvents, "job.progressed", rabbitmq.ExchangeJobs, false, nil))
	require.NoError(t, rabbitmq.Declare(channel))
	confirm, err := channel.PublishWithDeferredConfirm(rabbitmq.ExchangeJobs, "job.progressed", true, false, amqp.Publishing{})
	require.NoError(t, err)
	require.True(t, confirm.Wait())
	require.Empty(t, b.take(rabbitmq.QueueEvents))
	require.Len(t, b.take(rabbitmq.QueueProgress), 1)
}

// TestRoutesAreCompleteWhenDeclared: as soon as Declare returns, a submission reaches both queues, also while others
// declare the same. See ExchangeJobs for what happens with a topic exchange.
func TestRoutesAreCompleteWhenDeclared(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const rounds, services = 25, 4
	channels := make([]*amqp.Channel, services)
	for i := range channels {
		channels[i] = b.channel()
		require.NoError(t, channels[i].Confirm(false))
	}
	for range rounds {
		require.NoError(t, channels[0].ExchangeDelete(rabbitmq.ExchangeJobs, false, false)) // and its bindings
		var group errgroup.Group
		for _, channel := range channels {
			group.Go(func() error {
				if err := rabbitmq.Declare(channel); err != nil {
					return err
				}
				confirm, err := channel.PublishWithDeferredConfirm(rabbitmq.ExchangeJobs, "job.submitted", true, false, amqp.Publishing{})
				if err == nil && !confirm.Wait() {
					err = errors.New("not confirmed")
				}
				return err
			})
		}
		require.NoError(t, group.Wait())
	}
	events, commands := len(b.take(rabbitmq.QueueEvents)), len(b.take(rabbitmq.QueueCommands))
	require.Equal(t, rounds*services, events)
	require.Equal(t, rounds*services, commands)
}
