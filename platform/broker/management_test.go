package broker_test

import (
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
	require.Eventually(b.t, func() bool { // the broker lists connections some seconds late
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
