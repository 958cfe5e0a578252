package rabbitmq_test

import (
	"regexp"
	"time"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
	"github.com/stretchr/testify/require"
)

func (b *bench) management() *rabbithole.Client {
	b.t.Helper()
	client, err := rabbithole.NewClient(b.ManagementURL, b.BrokerUsername, b.BrokerPassword)
	require.NoError(b.t, err)
	return client
}

// closeConnection closes a connection from the broker's side, as an operator would.
func (b *bench) closeConnection(name string) {
	b.t.Helper()
	client := b.management()
	require.Eventually(b.t, func() bool { // the broker lists connections with a delay of some seconds
		connections, err := client.ListConnections()
		if err != nil {
			return false
		}
		for _, c := range connections {
			if c.Vhost == b.Vhost && c.ClientProperties["connection_name"] == name {
				response, err := client.CloseConnection(c.Name)
				return err == nil && response.Body.Close() == nil
			}
		}
		return false
	}, patience, 100*time.Millisecond, "no connection %q", name)
}

// limit sets the number of messages beyond which a queue rejects more, instead of that in its arguments: the lower one
// counts. It returns when the broker applies it.
func (b *bench) limit(queue string, n int) {
	b.t.Helper()
	client := b.management()
	response, err := client.PutPolicy(b.Vhost, queue, rabbithole.Policy{
		Pattern: "^" + regexp.QuoteMeta(queue) + "$", ApplyTo: "queues", Definition: rabbithole.PolicyDefinition{"max-length": n},
	})
	require.NoError(b.t, err)
	require.NoError(b.t, response.Body.Close())
	require.Eventually(b.t, func() bool {
		state, err := client.GetQueue(b.Vhost, queue)
		return err == nil && state.Policy == queue
	}, patience, 20*time.Millisecond)
}
