package sqlitequeue_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/sqlite"
	"github.com/docmill/docmill/platform/sqlitequeue"
)

func benchmarked(b *testing.B) (*harness, *fixture) {
	b.Helper()
	h := &harness{path: filepath.Join(b.TempDir(), "docmill.db")}
	var err error
	h.db, err = sqlite.Open(b.Context(), h.path, sqlite.Options{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, h.db.Close()) })
	h.queue, err = sqlitequeue.Open(b.Context(), h.db, sqlitequeue.Options{MaxCommands: 1 << 30})
	require.NoError(b, err)
	return h, newFixture(b, h)
}

// publishAll publishes n messages from 8 goroutines.
func publishAll(b *testing.B, f *fixture, n int, m func(job string) message.Message) {
	b.Helper()
	var all sync.WaitGroup
	work := make(chan int)
	for range 8 {
		all.Go(func() {
			for i := range work {
				if err := f.publisher.Publish(b.Context(), m(fmt.Sprint(i))); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	all.Wait()
}

// consumeAll returns a channel that is closed when n messages are acknowledged, nearly.
func consumeAll(f *fixture, queue message.Queue, n, workers int) <-chan struct{} {
	done := make(chan struct{})
	var mu sync.Mutex
	seen := 0
	count := func(k int) {
		mu.Lock()
		defer mu.Unlock()
		if seen += k; seen == n {
			close(done)
		}
	}
	if workers == 0 {
		f.consume(queue, message.Batches{Max: 100, Handle: func(_ context.Context, batch []*message.Delivery) error {
			count(len(batch))
			return nil
		}})
		return done
	}
	f.consume(queue, message.Each{Concurrency: workers, Handle: func(context.Context, *message.Delivery) message.Outcome {
		count(1)
		return message.Ack
	}})
	return done
}

// BenchmarkJobs publishes durable commands from 8 goroutines while 4 handlers take them and batches take their events.
func BenchmarkJobs(b *testing.B) {
	_, f := benchmarked(b)
	commands, events := consumeAll(f, message.Commands, b.N, 4), consumeAll(f, message.Events, b.N, 0)
	b.ResetTimer()
	publishAll(b, f, b.N, command)
	<-commands
	<-events
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkEvents publishes relaxed events from 8 goroutines while batches take them.
func BenchmarkEvents(b *testing.B) {
	_, f := benchmarked(b)
	events := consumeAll(f, message.Events, b.N, 0)
	b.ResetTimer()
	publishAll(b, f, b.N, progress)
	<-events
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkLatency measures from the call of Publish to the call of the handler, one message at a time.
func BenchmarkLatency(b *testing.B) {
	_, f := benchmarked(b)
	arrived := make(chan time.Time)
	f.consume(message.Commands, message.Each{Concurrency: 1, Handle: func(context.Context, *message.Delivery) message.Outcome {
		arrived <- time.Now()
		return message.Ack
	}})
	b.ResetTimer()
	var total time.Duration
	for i := range b.N {
		began := time.Now()
		f.publish(command(fmt.Sprint(i)))
		total += (<-arrived).Sub(began)
	}
	b.ReportMetric(float64(total.Microseconds())/float64(b.N), "µs/delivery")
}

// BenchmarkBacklog takes commands one by one while many others wait.
func BenchmarkBacklog(b *testing.B) {
	for _, backlog := range []int{0, 100_000} {
		b.Run(fmt.Sprint(backlog), func(b *testing.B) {
			_, f := benchmarked(b)
			publishAll(b, f, backlog+b.N, command)
			b.ResetTimer()
			<-consumeAll(f, message.Commands, b.N, 1)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
			b.StopTimer()
		})
	}
}
