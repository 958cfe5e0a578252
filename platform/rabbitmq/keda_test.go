package rabbitmq_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/docmill/docmill/platform/rabbitmq"
)

// trigger is a trigger of a ScaledObject of KEDA.
type trigger struct {
	Metadata struct {
		Protocol  string `yaml:"protocol"`
		QueueName string `yaml:"queueName"`
	} `yaml:"metadata"`
}

func triggers(t *testing.T) []trigger {
	t.Helper()
	content, err := os.ReadFile("../../k8s/components/keda/scaledobject.yaml")
	require.NoError(t, err)
	var object struct {
		Spec struct {
			Triggers []trigger `yaml:"triggers"`
		} `yaml:"spec"`
	}
	require.NoError(t, yaml.Unmarshal(content, &object))
	return object.Spec.Triggers
}

// TestKEDACountsTheCommands sends the requests of KEDA's RabbitMQ scaler, with the queues of the ScaledObject. Over AMQP it
// counts the commands that wait, and over HTTP also those that are being converted.
func TestKEDACountsTheCommands(t *testing.T) {
	t.Parallel()
	bench := setup(t)
	publisher, _ := bench.publisher(bench.config, nil)
	bench.connected(publisher)
	bench.publish(publisher, requested("job-1"), requested("job-2"), requested("job-3"))
	returned := requested("job-4")
	returned.Returned = true
	bench.publish(publisher, returned, started("job-1")) // an event does not count
	converting := bench.channel()
	_, found, err := converting.Get(rabbitmq.QueueCommands, false)
	require.NoError(t, err)
	require.True(t, found)

	counted := map[string]int{}
	for _, trigger := range triggers(t) {
		switch name := trigger.Metadata.QueueName; trigger.Metadata.Protocol {
		case "amqp":
			counted[name] = bench.ready(name)
		case "http":
			require.Eventually(t, func() bool { return bench.sum(name) == 4 }, patience, 100*time.Millisecond,
				"three that wait, and one that is being converted")
		}
	}
	require.Equal(t, map[string]int{rabbitmq.QueueCommands: 2, rabbitmq.QueueReturned: 1}, counted)
}

// sum returns the number of messages, with unacknowledged ones, of all queues whose names match a regular expression.
func (b *bench) sum(expression string) int {
	b.t.Helper()
	query := url.Values{"page": {"1"}, "use_regex": {"true"}, "pagination": {"false"}, "name": {expression}, "page_size": {"100"}}
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet,
		b.ManagementURL+"/api/queues/"+url.PathEscape(b.Vhost)+"?"+query.Encode(), nil)
	require.NoError(b.t, err)
	request.SetBasicAuth(b.BrokerUsername, b.BrokerPassword)
	response, err := http.DefaultClient.Do(request)
	require.NoError(b.t, err)
	defer response.Body.Close()
	require.Equal(b.t, http.StatusOK, response.StatusCode)
	var page struct {
		Items []struct {
			Messages int `json:"messages"`
		} `json:"items"`
		PageCount int `json:"page_count"`
	}
	require.NoError(b.t, json.NewDecoder(response.Body).Decode(&page))
	require.Equal(b.t, 1, page.PageCount, "KEDA reads one page")
	sum := 0
	for _, queue := range page.Items {
		sum += queue.Messages
	}
	return sum
}
