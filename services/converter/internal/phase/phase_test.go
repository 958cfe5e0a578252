package phase_test

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/converter/internal/phase"
)

// counts returns how often each phase was observed.
func counts(t *testing.T, registry *prometheus.Registry) map[string]uint64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	found := map[string]uint64{}
	for _, series := range families[0].GetMetric() {
		if n := series.GetHistogram().GetSampleCount(); n > 0 {
			found[series.GetLabel()[0].GetValue()] = n
		}
	}
	return found
}

func TestSequence(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	steps := phase.New(registry).Sequence(t.Context())
	steps.Enter(phase.Load)
	steps.Enter(phase.Load)
	require.Empty(t, counts(t, registry))
	steps.Enter(phase.Export)
	require.Equal(t, map[string]uint64{"load": 1}, counts(t, registry))
	steps.End(nil)
	require.Equal(t, map[string]uint64{"load": 1, "export": 1}, counts(t, registry))
}

func TestWithoutMetrics(t *testing.T) {
	t.Parallel()
	var none *phase.Phases
	ctx, end := none.Start(t.Context(), phase.Fetch)
	require.Equal(t, t.Context(), ctx)
	end(context.Canceled)
	steps := none.Sequence(t.Context())
	steps.Enter(phase.Load)
	steps.End(nil)
}
