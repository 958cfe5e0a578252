package broker_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/platform/broker"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"amqp://127.0.0.1:5672/", "amqp://broker", "amqps://broker:5671/vhost?heartbeat=5"} {
		require.NoError(t, broker.Config{URL: url}.Validate(), url)
	}
	for url, want := range map[string]string{
		"":                             "no URL",
		"broker:5672":                  "no URL",
		"http://broker/":               "no URL",
		"amqp:///vhost":                "no URL",
		"amqp://user:s3cret@broker/":   "contains credentials",
		"amqp://user@broker/":          "contains credentials",
		"amqp://broker/?channel_max=x": "channel_max",
	} {
		err := broker.Config{URL: url}.Validate()
		require.ErrorContains(t, err, want, url)
		require.ErrorContains(t, err, "broker-url", url)
		require.NotContains(t, err.Error(), "s3cret")
	}
}
