package broker_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/platform/broker"
	"github.com/docmill/docmill/platform/topology"
)

// TestMetrics has a publisher and two consumers in one registry, as a service has.
func TestMetrics(t *testing.T) {
	t.Parallel()
	b := setup(t)
	registry := prometheus.NewRegistry()
	p, _ := b.publisher(b.config, func(o *broker.PublisherOptions) { o.Metrics = registry })
	handle, hand := byHand()
	observed := func(o *broker.ConsumerOptions) { o.Metrics = registry }
	_, first := b.consumer(b.config, topology.Convert, broker.Each(1, handle), observed)
	b.consumer(b.config, topology.ConvertDead, broker.Each(1, handle), observed)
	b.publish(p, requested("job-1"))
	next(t, hand).decide <- broker.Ack
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
