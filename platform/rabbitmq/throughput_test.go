package rabbitmq_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
)

// BenchmarkPublish publishes from many goroutines, each of which waits for its confirm, as HTTP handlers do.
func BenchmarkPublish(b *testing.B) {
	bench := setup(b)
	bench.log = zap.NewNop()
	p, _ := bench.publisher(bench.config, nil)
	bench.connected(p)
	sent := started("job-1")
	b.SetParallelism(128) // goroutines per core
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := p.Publish(b.Context(), sent); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkConsume consumes a full queue with handlers that only decode.
func BenchmarkConsume(b *testing.B) {
	b.Run("each", func(b *testing.B) {
		benchmarkConsume(b, func(done func(int)) message.Handler {
			return message.Each{Concurrency: 64, Handle: func(_ context.Context, d *message.Delivery) message.Outcome {
				defer done(1)
				if _, err := d.Message(); err != nil {
					return message.DeadLetter
				}
				return message.Ack
			}}
		})
	})
	b.Run("batches", func(b *testing.B) {
		benchmarkConsume(b, func(done func(int)) message.Handler {
			return message.Batches{Max: 256, Handle: func(_ context.Context, batch []*message.Delivery) error {
				defer done(len(batch))
				for _, d := range batch {
					if _, err := d.Message(); err != nil {
						return err
					}
				}
				return nil
			}}
		})
	})
}

func benchmarkConsume(b *testing.B, work func(done func(int)) message.Handler) {
	bench := setup(b)
	bench.log = zap.NewNop()
	p, _ := bench.publisher(bench.config, nil)
	bench.connected(p)
	sent := started("job-1")
	b.SetParallelism(128)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			require.NoError(b, p.Publish(b.Context(), sent))
		}
	})
	counts := make(chan int, 1024)
	b.ReportAllocs()
	b.ResetTimer()
	bench.consumer(bench.config, message.Events, work(func(n int) { counts <- n }), nil)
	for handled := 0; handled < b.N; {
		handled += <-counts
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
