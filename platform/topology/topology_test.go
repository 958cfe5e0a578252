package topology_test

import (
	"testing"
	"time"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/topology"
)

func TestMain(m *testing.M) { testbench.Main(m) }

func connect(t *testing.T, b *testbench.Bench) *amqp.Channel {
	t.Helper()
	connection, err := amqp.DialConfig(b.BrokerURL, amqp.Config{
		SASL: []amqp.Authentication{&amqp.PlainAuth{Username: b.BrokerUsername, Password: b.BrokerPassword}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	channel, err := connection.Channel()
	require.NoError(t, err)
	return channel
}

// TestEffectiveArguments reads back what the broker has made of the declaration: it takes arguments that it does not know
// without a word.
func TestEffectiveArguments(t *testing.T) {
	t.Parallel()
	b := testbench.New(t)
	channel := connect(t, b)
	require.NoError(t, topology.Declare(channel))
	require.NoError(t, topology.Declare(channel), "again, as every service does")

	management, err := rabbithole.NewClient(b.ManagementURL, b.BrokerUsername, b.BrokerPassword)
	require.NoError(t, err)
	queues, err := management.ListQueuesIn(b.Vhost)
	require.NoError(t, err)
	require.Len(t, queues, 7)

	const reject, atLeastOnce = "reject-publish", "at-least-once"
	want := map[string]map[string]any{
		"docmill.convert.v1": {
			"x-delivery-limit": 4., "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "docmill.convert.dead.v1",
			"x-dead-letter-strategy": atLeastOnce, "x-overflow": reject, "x-max-length": 100_000.,
		},
		"docmill.convert.dead.v1": {"x-delivery-limit": 1_000_000.},
		"docmill.convert.retry.10s.v1": {
			"x-delivery-limit": 1_000_000., "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "docmill.convert.v1",
			"x-dead-letter-strategy": atLeastOnce, "x-overflow": reject, "x-message-ttl": 10_000.,
		},
		"docmill.convert.retry.1m.v1": {
			"x-delivery-limit": 1_000_000., "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "docmill.convert.v1",
			"x-dead-letter-strategy": atLeastOnce, "x-overflow": reject, "x-message-ttl": 60_000.,
		},
		"docmill.convert.retry.5m.v1": {
			"x-delivery-limit": 1_000_000., "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "docmill.convert.v1",
			"x-dead-letter-strategy": atLeastOnce, "x-overflow": reject, "x-message-ttl": 300_000.,
		},
		"docmill.status.events.v1": {
			"x-delivery-limit": 20., "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "docmill.status.dead.v1",
			"x-dead-letter-strategy": atLeastOnce, "x-overflow": reject,
		},
		"docmill.status.dead.v1": {"x-delivery-limit": 1_000_000.},
	}
	for _, q := range queues {
		require.Contains(t, want, q.Name)
		arguments := want[q.Name]
		arguments["x-queue-type"] = "quorum"
		require.Equal(t, arguments, q.Arguments, q.Name)
		require.Equal(t, "quorum", q.Type, q.Name)
		require.True(t, q.Durable, q.Name)
	}
}

// TestRoutes publishes under each routing key and looks where the messages are.
func TestRoutes(t *testing.T) {
	t.Parallel()
	b := testbench.New(t)
	channel := connect(t, b)
	require.NoError(t, topology.Declare(channel))
	require.NoError(t, channel.Confirm(false))
	for _, key := range []string{
		topology.Submitted, topology.Started, topology.Progressed, topology.Retried, topology.Succeeded, topology.Failed,
	} {
		confirm, err := channel.PublishWithDeferredConfirm(topology.Jobs, key, true, false, amqp.Publishing{Type: key})
		require.NoError(t, err)
		require.True(t, confirm.Wait())
	}
	count := func(queue string) int {
		state, err := channel.QueueDeclarePassive(queue, true, false, false, false, nil)
		require.NoError(t, err)
		return state.Messages
	}
	require.Eventually(t, func() bool { return count(topology.StatusEvents) == 6 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, 1, count(topology.Convert))
}

func TestLadder(t *testing.T) {
	t.Parallel()
	var delays []time.Duration
	for attempt := 1; ; attempt++ {
		step, more := topology.After(attempt)
		if !more {
			break
		}
		delays = append(delays, step.Delay)
	}
	require.Equal(t, []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute}, delays)
	_, more := topology.After(0)
	require.False(t, more)
}
