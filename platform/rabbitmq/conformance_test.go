package rabbitmq_test

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/message/messagetest"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/rabbitmq"
)

// TestConformance: RabbitMQ is a message.Broker.
func TestConformance(t *testing.T) {
	t.Parallel()
	messagetest.Run(t, messagetest.Suite{
		Open:        func(t testing.TB) messagetest.Harness { return harness(t, testbench.New(t)) },
		OpenPrivate: func(t testing.TB) messagetest.Harness { return harness(t, testbench.NewPrivate(t)) },
		// Before RabbitMQ 4.3, a delivery that is returned counts as delivered once more.
		Lacks: messagetest.Lacks{UncountedReturn: true},
	})
}

func harness(t testing.TB, space *testbench.Bench) messagetest.Harness {
	t.Helper()
	b := open(t, space)
	link := testbench.Proxy(t, b.BrokerURL)
	through := b.config
	through.URL = link.Through(b.BrokerURL)
	return messagetest.Harness{
		Open: func(t testing.TB, name string) message.Broker {
			t.Helper()
			broker, err := rabbitmq.New(through, name, b.log, nil)
			require.NoError(t, err)
			return broker
		},
		Restart: func(t testing.TB) {
			t.Helper()
			require.NoError(t, space.Servers.RabbitMQ.Kill())
			require.NoError(t, space.Servers.RabbitMQ.Start(t.Context()))
		},
		Disconnect: func(testing.TB) {
			link.Cut()
			link.Restore()
		},
		LimitCommands: func(t testing.TB, n int) {
			t.Helper()
			b.limit(rabbitmq.QueueCommands, n)
		},
		Inject: func(t testing.TB, e message.Envelope) {
			t.Helper()
			const mandatory, immediate = true, false
			require.NoError(t, b.channel().PublishWithContext(t.Context(), "", rabbitmq.QueueCommands, mandatory, immediate, amqp.Publishing{
				ContentType: e.ContentType, Type: e.Type, Body: e.Body,
			}))
		},
	}
}
