package broker_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/broker"
	"github.com/docmill/docmill/platform/topology"
)

// BenchmarkPublish publishes from many goroutines, each of which waits for its confirm, as HTTP handlers do.
func BenchmarkPublish(b *testing.B) {
	bench := setup(b)
	p, _ := bench.publisher(bench.config, func(o *broker.PublisherOptions) { o.Log = zap.NewNop() })
	bench.connected(p)
	message := started("job-1")
	b.SetParallelism(128) // goroutines for each core
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := p.Publish(b.Context(), message); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkConsume takes what lies in a queue with handlers that only decode it.
func BenchmarkConsume(b *testing.B) {
	b.Run("each", func(b *testing.B) {
		benchmarkConsume(b, func(done func(int)) broker.Work {
			return broker.Each(64, func(_ context.Context, d *broker.Delivery) broker.Outcome {
				defer done(1)
				if _, err := d.Message(); err != nil {
					return broker.DeadLetter
				}
				return broker.Ack
			})
		})
	})
	b.Run("batches", func(b *testing.B) {
		benchmarkConsume(b, func(done func(int)) broker.Work {
			return broker.Batches(256, func(_ context.Context, batch []*broker.Delivery) error {
				defer done(len(batch))
				for _, d := range batch {
					if _, err := d.Message(); err != nil {
						return err
					}
				}
				return nil
			})
		})
	})
}

func benchmarkConsume(b *testing.B, work func(done func(int)) broker.Work) {
	bench := setup(b)
	p, _ := bench.publisher(bench.config, func(o *broker.PublisherOptions) { o.Log = zap.NewNop() })
	bench.connected(p)
	message := started("job-1")
	b.SetParallelism(128)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			require.NoError(b, p.Publish(b.Context(), message))
		}
	})
	counts := make(chan int, 1024)
	b.ReportAllocs()
	b.ResetTimer()
	bench.consumer(bench.config, topology.StatusEvents, work(func(n int) { counts <- n }), func(o *broker.ConsumerOptions) { o.Log = zap.NewNop() })
	for handled := 0; handled < b.N; {
		handled += <-counts
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
