package ending

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/status/job"
)

func TestCount(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	queued := 7.0
	m.CountEvent(job.Ended{Status: job.Succeeded, StartedAt: time.Now().Add(-2 * time.Second), Report: &job.Report{Seconds: job.Seconds{Queued: &queued}}})
	m.CountEvent(job.Ended{Status: job.Failed, Failure: &job.Failure{Code: string(problem.PasswordWrong)}})
	m.CountEvent(job.Ended{Status: job.Failed, Failure: &job.Failure{Code: "invented"}})
	m.Count(problem.AttemptsExhausted, time.Now().Add(-time.Hour))

	value := func(outcome, code string) float64 { return testutil.ToFloat64(m.ended.WithLabelValues(outcome, code)) }
	require.InDelta(t, 1, value(succeeded, ok), 0)
	require.InDelta(t, 1, value(rejected, "password-wrong"), 0)
	require.InDelta(t, 1, value(failed, "unknown"), 0, "labels must not come from messages")
	require.InDelta(t, 1, value(failed, "attempts-exhausted"), 0)

	families, err := registry.Gather()
	require.NoError(t, err)
	sums, counts := map[string]float64{}, map[string]uint64{}
	for _, family := range families {
		if family.GetName() == "docmill_status_time_to_result_seconds" {
			for _, series := range family.GetMetric() {
				outcome := series.GetLabel()[0].GetValue()
				sums[outcome], counts[outcome] = series.GetHistogram().GetSampleSum(), series.GetHistogram().GetSampleCount()
			}
		}
	}
	require.Equal(t, map[string]uint64{succeeded: 1, rejected: 0, failed: 1}, counts, "without the time of the submission there is no duration")
	require.InDelta(t, 9, sums[succeeded], 1, "the time in the queue counts")
	require.InDelta(t, 3600, sums[failed], 1)
}
