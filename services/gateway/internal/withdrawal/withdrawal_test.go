package withdrawal_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/gateway/internal/withdrawal"
)

// publisherFunc is a Publisher.
type publisherFunc func(ctx context.Context, m message.Message) error

func (f publisherFunc) Publish(ctx context.Context, m message.Message) error { return f(ctx, m) }

// run runs the withdrawals and returns functions that drain and abandon them, and a channel with the end of Run.
func run(w *withdrawal.Withdrawals) (drain, abandon func(), ended <-chan error) {
	draining, result := make(chan struct{}), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { result <- w.Run(ctx, func() {}, draining) }()
	return func() { close(draining) }, cancel, result
}

// TestWithdrawalOutlivesItsRequest: the client disconnects and the queue is away for a moment, while the service stops.
func TestWithdrawalOutlivesItsRequest(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	first, published := make(chan struct{}), make(chan message.Message, 1)
	proceed := make(chan struct{})
	w := withdrawal.New(publisherFunc(func(ctx context.Context, m message.Message) error {
		if tries.Add(1) == 1 {
			close(first)
			<-proceed
			return message.ErrNotConnected
		}
		published <- m
		return ctx.Err()
	}), zap.NewNop(), prometheus.NewRegistry())
	drain, _, ended := run(w)
	request, disconnect := context.WithCancel(t.Context())
	w.Add(request, "job-1", "submission-1")
	<-first
	disconnect()
	drain()
	select {
	case <-ended:
		require.Fail(t, "a withdrawal is pending")
	default:
	}
	close(proceed)
	require.NoError(t, <-ended)
	m := <-published
	require.Equal(t, "job-1", m.JobID)
	body, ok := m.Body.(*conversionv1.SubmissionWithdrawn)
	require.True(t, ok)
	require.Equal(t, "job-1", body.GetJobId())
	require.Equal(t, "submission-1", body.GetSubmissionId())
	require.NotZero(t, body.GetWithdrawnAt().AsTime())
}

// TestDrainIsBounded: what is pending when the drain has taken too long is abandoned.
func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	waiting, abandoned := make(chan struct{}), make(chan struct{})
	w := withdrawal.New(publisherFunc(func(ctx context.Context, _ message.Message) error {
		close(waiting)
		<-ctx.Done()
		close(abandoned)
		return ctx.Err()
	}), zap.NewNop(), prometheus.NewRegistry())
	drain, abandon, ended := run(w)
	w.Add(t.Context(), "job-1", "submission-1")
	<-waiting
	drain()
	abandon()
	require.NoError(t, <-ended)
	<-abandoned
}

// TestPendingWithdrawalsAreBounded: a queue that never answers does not fill the memory.
func TestPendingWithdrawalsAreBounded(t *testing.T) {
	t.Parallel()
	const more = 100
	var tries atomic.Int32
	registry := prometheus.NewRegistry()
	w := withdrawal.New(publisherFunc(func(ctx context.Context, _ message.Message) error {
		tries.Add(1)
		<-ctx.Done()
		return errors.New("canceled")
	}), zap.NewNop(), registry)
	_, abandon, ended := run(w)
	for range 1000 + more {
		w.Add(t.Context(), "job", "submission-1")
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	require.InDelta(t, more, families[0].GetMetric()[0].GetCounter().GetValue(), 0)
	require.LessOrEqual(t, tries.Load(), int32(1000))
	abandon()
	require.NoError(t, <-ended)
}
