package dispatch_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/services/status/internal/dispatch"
	"github.com/docmill/docmill/services/status/jobstore"
)

// crowded is a store with many receivers, none of which is due. Reading 200 of them takes 2 ms.
type crowded struct {
	jobstore.Store

	receivers int
	pages     atomic.Int64
}

// Enqueued implements jobstore.Deliveries.
func (*crowded) Enqueued() <-chan struct{} { return nil }

// Receivers implements jobstore.Deliveries.
func (c *crowded) Receivers(_ context.Context, after string, limit int) ([]jobstore.Receiver, error) {
	time.Sleep(2 * time.Millisecond)
	c.pages.Add(1)
	first := 0
	if after != "" {
		if _, err := fmt.Sscanf(after, "%d", &first); err != nil {
			return nil, err
		}
		first++
	}
	var page []jobstore.Receiver
	for i := first; i < min(first+limit, c.receivers); i++ {
		page = append(page, jobstore.Receiver{Name: fmt.Sprintf("%08d", i)})
	}
	return page, nil
}

// TestManyReceiversCostLittle requires that the database is not busy with receivers that clients have made up.
func TestManyReceiversCostLittle(t *testing.T) {
	t.Parallel()
	for _, receivers := range []int{100, 100_000} {
		synctest.Test(t, func(t *testing.T) {
			store := &crowded{receivers: receivers}
			config := dispatch.Config{Total: 8, PerReceiver: 2, Timeout: time.Second, Every: time.Second}
			d := dispatch.New(config, store, nil, zap.NewNop(), dispatch.NewMetrics(prometheus.NewRegistry()))
			drain, ended := make(chan struct{}), make(chan error, 1)
			go func() { ended <- d.Run(t.Context(), func() {}, drain) }()
			time.Sleep(10 * time.Minute)
			busy := time.Duration(store.pages.Load()) * 2 * time.Millisecond
			require.LessOrEqual(t, busy, 70*time.Second)
			require.GreaterOrEqual(t, busy, time.Second)
			close(drain)
			require.NoError(t, <-ended)
		})
	}
}
