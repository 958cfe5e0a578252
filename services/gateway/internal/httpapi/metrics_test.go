package httpapi_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// uploads returns the number of uploads that ended with each code, without those of which there are none.
func (g *gateway) uploads(t testing.TB) map[string]float64 {
	t.Helper()
	return g.counts(t, "docmill_gateway_uploads_total")
}

// counts returns the values of a counter that are not 0, by its only label.
func (g *gateway) counts(t testing.TB, counter string) map[string]float64 {
	t.Helper()
	families, err := prometheus.Gatherer(g.registry).Gather()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, family := range families {
		if family.GetName() != counter {
			continue
		}
		for _, metric := range family.GetMetric() {
			if n := metric.GetCounter().GetValue(); n > 0 {
				counts[metric.GetLabel()[0].GetValue()] = n
			}
		}
	}
	return counts
}
