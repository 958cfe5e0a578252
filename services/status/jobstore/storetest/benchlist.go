package storetest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// ListedJobs is the number of jobs that BenchmarkList expects.
const ListedJobs = 1_000_000

// The jobs that BenchmarkList expects have ids with the times of noon and the milliseconds after, in both stores:
//
//   - n % 1000 = 1: placeholders, = 2: withdrawn, = 3: deleted
//   - n > 990,000: queued, of which every tenth is running; n < 100: canceled; n % 100 = 50: failed; otherwise succeeded
//   - n < 50: tag rare; n % 2 = 0: tag common; n % 3 = 0: tag customer-0 to customer-999; otherwise no tag

// listedID returns the id of the job n.
func listedID(n int) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:], uint64(noon.UnixMilli()+int64(n))<<16|0x7000)
	return id
}

// BenchmarkList measures the times of pages of lists at random places, for each filter. The store has ListedJobs.
func BenchmarkList(b *testing.B, store jobstore.Store) {
	b.Helper()
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Millisecond) }
	for _, c := range []struct {
		name   string
		filter jobstore.Filter
	}{
		{"all", jobstore.Filter{}},
		{"status=queued", jobstore.Filter{Statuses: []job.Status{job.Queued}}},
		{"status=succeeded", jobstore.Filter{Statuses: []job.Status{job.Succeeded}}},
		{"status=failed", jobstore.Filter{Statuses: []job.Status{job.Failed}}},
		{"status=canceled", jobstore.Filter{Statuses: []job.Status{job.Canceled}}}, // the oldest
		{"tag=common", jobstore.Filter{Tag: "common"}},
		{"tag=customer", jobstore.Filter{Tag: "customer-333"}},
		{"tag=rare", jobstore.Filter{Tag: "rare"}}, // the oldest
		{"tag=none", jobstore.Filter{Tag: "none"}},
		{"tag=common,status=failed", jobstore.Filter{Tag: "common", Statuses: []job.Status{job.Failed}}},
		{"created_before", jobstore.Filter{CreatedBefore: at(ListedJobs / 3)}},
		{"created_after", jobstore.Filter{CreatedAfter: at(ListedJobs / 3 * 2)}},
		{"created_between,status=failed", jobstore.Filter{CreatedAfter: at(ListedJobs / 3), CreatedBefore: at(ListedJobs / 2), Statuses: []job.Status{job.Failed}}},
	} {
		for _, limit := range []int{21, 101} { // a page, and one more to see whether there is a next one
			b.Run(fmt.Sprintf("%s/limit=%d", c.name, limit), func(b *testing.B) {
				random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same pages each time
				var times []time.Duration
				for b.Loop() {
					selection := jobstore.Selection{Filter: c.filter, Limit: limit, Before: listedID(1 + random.IntN(ListedJobs))}
					if len(times)%2 == 0 {
						selection.Before = uuid.Nil // a first page
					}
					began := time.Now()
					_, err := store.List(b.Context(), selection)
					times = append(times, time.Since(began))
					require.NoError(b, err)
				}
				reportTimes(b, times)
			})
		}
	}
	b.Run("stats", func(b *testing.B) {
		var times []time.Duration
		for b.Loop() {
			began := time.Now()
			_, err := store.Stats(b.Context(), 1000)
			times = append(times, time.Since(began))
			require.NoError(b, err)
		}
		reportTimes(b, times)
	})
}

// reportTimes reports percentiles in milliseconds.
func reportTimes(b *testing.B, times []time.Duration) {
	b.Helper()
	slices.Sort(times)
	milliseconds := func(p float64) float64 {
		return times[int(p*float64(len(times)-1))].Seconds() * 1000
	}
	b.ReportMetric(milliseconds(0.5), "ms-p50")
	b.ReportMetric(milliseconds(0.99), "ms-p99")
}

// BenchmarkCost measures how much slower the first store applies events than the second one, in alternating batches of
// that size.
func BenchmarkCost(b *testing.B, with, without jobstore.Store, size int) {
	b.Helper()
	var took [2]time.Duration
	for b.Loop() {
		for i, store := range []jobstore.Store{with, without} {
			began := time.Now()
			applyLives(b, store, size)
			took[i] += time.Since(began)
		}
	}
	b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "times-slower")
}
