package dispatch_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/services/status/delivery"
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

// endless is a store and a sender. Each of its receivers always has deliveries that are due.
type endless struct {
	jobstore.Store

	receivers []jobstore.Receiver
	// answers reports whether a receiver answers, which takes 1 s; otherwise, an attempt takes 15 s.
	answers func(receiver string) bool

	mu       sync.Mutex
	attempts map[string]int
	// silent is the current number of attempts that get no answer, and most the highest.
	silent, most int
}

// Enqueued implements jobstore.Deliveries.
func (*endless) Enqueued() <-chan struct{} { return nil }

// Receivers implements jobstore.Deliveries.
func (e *endless) Receivers(_ context.Context, after string, limit int) ([]jobstore.Receiver, error) {
	first := 0
	for first < len(e.receivers) && e.receivers[first].Name <= after {
		first++
	}
	return e.receivers[first:min(first+limit, len(e.receivers))], nil
}

// LeaseDeliveries implements jobstore.Deliveries.
func (*endless) LeaseDeliveries(_ context.Context, receiver string, limit int, _ time.Duration) ([]delivery.Leased, error) {
	leased := make([]delivery.Leased, limit)
	for i := range leased {
		leased[i].Receiver = receiver
	}
	return leased, nil
}

// SettleDelivery implements jobstore.Deliveries.
func (*endless) SettleDelivery(context.Context, delivery.Settlement) error { return nil }

// Send implements dispatch.Sender.
func (e *endless) Send(_ context.Context, d delivery.Delivery) (delivery.Attempt, error) {
	e.mu.Lock()
	e.attempts[d.Receiver]++
	answers := e.answers(d.Receiver)
	if !answers {
		e.silent++
		e.most = max(e.most, e.silent)
	}
	e.mu.Unlock()
	if answers {
		time.Sleep(time.Second)
		return delivery.Attempt{StatusCode: http.StatusOK, Duration: time.Second}, nil
	}
	time.Sleep(15 * time.Second)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.silent--
	return delivery.Attempt{Fault: delivery.TimedOut, Duration: 15 * time.Second}, context.DeadlineExceeded
}

// TestSilentReceiversGetHalf requires that receivers that do not answer get at most half of all attempts, also if they have answered
// before, and that each of them gets its turn.
func TestSilentReceiversGetHalf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const total, perReceiver, silent, good, turning, seconds = 16, 4, 100, 2, 3, 600
		store := &endless{attempts: map[string]int{}}
		began := time.Now()
		store.answers = func(receiver string) bool {
			return strings.HasPrefix(receiver, "good") || strings.HasPrefix(receiver, "turning") && time.Since(began) < time.Minute
		}
		for i := range good {
			store.receivers = append(store.receivers, jobstore.Receiver{Name: fmt.Sprintf("good-%d", i), Due: true})
		}
		for i := range silent {
			store.receivers = append(store.receivers, jobstore.Receiver{Name: fmt.Sprintf("silent-%04d", i), Due: true})
		}
		for i := range turning {
			store.receivers = append(store.receivers, jobstore.Receiver{Name: fmt.Sprintf("turning-%d", i), Due: true})
		}
		config := dispatch.Config{Total: total, PerReceiver: perReceiver, Timeout: 15 * time.Second, Every: time.Second}
		d := dispatch.New(config, store, store, zap.NewNop(), dispatch.NewMetrics(prometheus.NewRegistry()))
		drain, ended := make(chan struct{}), make(chan error, 1)
		go func() { ended <- d.Run(t.Context(), func() {}, drain) }()
		time.Sleep(seconds * time.Second)
		close(drain)
		require.NoError(t, <-ended)
		// Those that turn silent have some attempts that began when they were prompt.
		require.LessOrEqual(t, store.most, total/2+turning*perReceiver)
		require.GreaterOrEqual(t, store.most, total/2)
		require.Len(t, store.attempts, good+silent+turning)
		for i := range good {
			require.Greater(t, store.attempts[fmt.Sprintf("good-%d", i)], seconds*perReceiver/2)
		}
	})
}
