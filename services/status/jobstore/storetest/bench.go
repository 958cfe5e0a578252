package storetest

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// BenchmarkApply measures events per second, in batches of that size as the service makes them: the four events of a
// job arrive in different batches.
func BenchmarkApply(b *testing.B, store jobstore.Store, size int) {
	b.Helper()
	b.ResetTimer()
	for n := 0; n < b.N; {
		n += applyLives(b, store, size)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// applyLives applies the events of that many jobs, and returns the number of events.
func applyLives(b *testing.B, store jobstore.Store, jobs int) (events int) {
	b.Helper()
	ids := make([]uuid.UUID, jobs)
	for i := range ids {
		ids[i] = newID(b)
	}
	for _, step := range []int{0, 1, 2, 5} {
		batch := make([]job.Event, jobs)
		for i, id := range ids {
			batch[i] = life(id)[step]
		}
		_, err := store.Apply(b.Context(), batch)
		require.NoError(b, err)
		events += jobs
	}
	return events
}

// BenchmarkJob measures reads per second, from several goroutines.
func BenchmarkJob(b *testing.B, store jobstore.Store) {
	b.Helper()
	id := newID(b)
	_, err := store.Apply(b.Context(), life(id))
	require.NoError(b, err)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := store.Job(b.Context(), id); err != nil {
				b.Error(strings.TrimSpace(err.Error()))
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
}
