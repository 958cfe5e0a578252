package rabbitmq_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
)

// TestMetrics has a publisher and two consumers in one registry, as a service has.
func TestMetrics(t *testing.T) {
	t.Parallel()
	b := setup(t)
	registry := prometheus.NewRegistry()
	b.registry = registry
	p, _ := b.publisher(b.config, nil)
	handle, hand := byHand()
	_, first := b.consumer(b.config, message.Commands, message.Each{Concurrency: 1, Handle: handle}, nil)
	b.consumer(b.config, message.DeadCommands, message.Each{Concurrency: 1, Handle: handle}, nil)
	b.publish(p, requested("job-1"))
	next(t, hand).decide <- message.Ack
	first.drain()
	first.stopped()

	values := map[string]float64{}
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := family.GetName()
			for _, label := range metric.GetLabel() {
				name += " " + label.GetName() + "=" + label.GetValue()
			}
			values[name] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	require.InDelta(t, 1, values["docmill_broker_publish_duration_seconds connection=publisher outcome=confirmed"], 0)
	require.InDelta(t, 1, values["docmill_broker_connected connection=publisher"], 0)
	require.InDelta(t, 0, values["docmill_broker_connected connection=docmill.convert.v1"], 0)
	require.InDelta(t, 1, values["docmill_broker_connection_losses_total connection=docmill.convert.v1"], 0)
	require.InDelta(t, 1, values["docmill_broker_deliveries_total connection=docmill.convert.v1 outcome=acked"], 0)
	require.InDelta(t, 1, values["docmill_broker_handling_duration_seconds connection=docmill.convert.v1"], 0)
}
