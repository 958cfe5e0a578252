package rabbitmq_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/platform/rabbitmq"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"amqp://127.0.0.1:5672/", "amqp://broker", "amqps://broker:5671/vhost?heartbeat=5"} {
		require.NoError(t, rabbitmq.Config{URL: url}.Validate(), url)
	}
	for url, want := range map[string]string{
		"":                             "not a URL",
		"broker:5672":                  "not a URL",
		"http://broker/":               "not a URL",
		"amqp:///vhost":                "not a URL",
		"amqp://user:s3cret@broker/":   "contains credentials",
		"amqp://user@broker/":          "contains credentials",
		"amqp://broker/?channel_max=x": "channel_max",
	} {
		err := rabbitmq.Config{URL: url}.Validate()
		require.ErrorContains(t, err, want, url)
		require.ErrorContains(t, err, "broker-url", url)
		require.NotContains(t, err.Error(), "s3cret")
	}
}
