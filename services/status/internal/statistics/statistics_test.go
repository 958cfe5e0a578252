package statistics_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/services/status/internal/statistics"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// counter is a store that takes its time.
type counter struct {
	takes time.Duration
	stats jobstore.Stats
	err   error
	calls atomic.Int64
}

func (c *counter) Stats(context.Context, int) (jobstore.Stats, error) {
	c.calls.Add(1)
	time.Sleep(c.takes)
	return c.stats, c.err
}

func (c *counter) OldestWaiting(context.Context) (time.Duration, error) {
	return 1500 * time.Millisecond, nil
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	store := &counter{stats: jobstore.Stats{Jobs: map[job.Status]int64{job.Queued: 1, job.Running: 2, job.Succeeded: 3, job.Failed: 4, job.Canceled: 5}}}
	for i := range 100 {
		store.stats.Waits = append(store.stats.Waits, time.Duration(100-i)*time.Second)
	}
	got, err := statistics.New(store).Get(t.Context())
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), got.CountedAt, time.Minute)
	require.Equal(t, jobapi.JobCounts{Queued: 1, Running: 2, Succeeded: 3, Failed: 4, Canceled: 5}, got.Jobs)
	require.Equal(t, jobapi.QueueTimes{OldestWaiting: 1.5, Sample: 100, P50: new(50.0), P95: new(95.0)}, got.Queue)

	store.stats.Waits = store.stats.Waits[:1]
	got, err = statistics.New(store).Get(t.Context())
	require.NoError(t, err)
	require.Equal(t, jobapi.QueueTimes{OldestWaiting: 1.5, Sample: 1, P50: new(1.0), P95: new(1.0)}, got.Queue)
	store.stats.Waits = nil
	got, err = statistics.New(store).Get(t.Context())
	require.NoError(t, err)
	require.Equal(t, jobapi.QueueTimes{OldestWaiting: 1.5}, got.Queue)
}

// TestCountsAreShared requires that counting costs a small part of the time, however many requests there are and however long it
// takes.
func TestCountsAreShared(t *testing.T) {
	t.Parallel()
	for takes, lifetime := range map[time.Duration]time.Duration{0: 5 * time.Second, time.Second: 50 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			store := &counter{takes: takes}
			s := statistics.New(store)
			var requests sync.WaitGroup
			for range 100 {
				requests.Go(func() {
					_, err := s.Get(t.Context())
					require.NoError(t, err)
				})
			}
			requests.Wait()
			require.EqualValues(t, 1, store.calls.Load())
			time.Sleep(lifetime - time.Millisecond)
			_, err := s.Get(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 1, store.calls.Load())
			time.Sleep(time.Millisecond)
			_, err = s.Get(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 2, store.calls.Load())
		})
	}
}

// TestClientThatLeaves requires that a client that does not wait any longer does not take the count from the others.
func TestClientThatLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &counter{takes: 3 * time.Second}
		s := statistics.New(store)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Get(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = s.Get(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, store.calls.Load())
	})
}

// TestFailuresAreShared requires that a store that fails is not asked by each request, and that the next success is noticed soon.
func TestFailuresAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &counter{takes: 40 * time.Millisecond, err: errors.New("down")}
		s := statistics.New(store)
		var requests sync.WaitGroup
		for i := range 100 {
			requests.Go(func() {
				time.Sleep(time.Duration(i) * 20 * time.Millisecond)
				_, err := s.Get(t.Context())
				require.ErrorIs(t, err, store.err)
			})
		}
		requests.Wait()
		require.EqualValues(t, 1, store.calls.Load())
		store.err = nil
		time.Sleep(time.Second)
		_, err := s.Get(t.Context())
		require.NoError(t, err)
	})
}

// TestFailuresThatTakeLongAreRare requires that counts that fail cost as small a part of the time as others, but at most one a minute.
func TestFailuresThatTakeLongAreRare(t *testing.T) {
	t.Parallel()
	for takes, lifetime := range map[time.Duration]time.Duration{
		10 * time.Millisecond: 2 * time.Second, time.Second: 50 * time.Second, 6 * time.Second: time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			store := &counter{takes: takes, err: errors.New("too slow")}
			s := statistics.New(store)
			for calls := range 2 {
				_, err := s.Get(t.Context())
				require.ErrorIs(t, err, store.err)
				require.EqualValues(t, calls+1, store.calls.Load())
				time.Sleep(lifetime - time.Millisecond)
				_, err = s.Get(t.Context())
				require.ErrorIs(t, err, store.err)
				require.EqualValues(t, calls+1, store.calls.Load())
				time.Sleep(time.Millisecond)
			}
		})
	}
}
