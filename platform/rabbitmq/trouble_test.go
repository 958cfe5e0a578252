package rabbitmq_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/rabbitmq"
)

// TestBrokerInTrouble does to a private broker what cannot be done to a shared one. The subtests share it, one by one.
//
//nolint:tparallel // see above
func TestBrokerInTrouble(t *testing.T) {
	t.Parallel()
	private := testbench.NewPrivate(t)
	t.Run("an alarm blocks publishers", func(t *testing.T) { testAlarm(t, private) })
	t.Run("a restart is survived", func(t *testing.T) { testRestart(t, private) })
	t.Run("a crash loses nothing that was confirmed", func(t *testing.T) { testCrash(t, private) })
}

func testAlarm(t *testing.T, private *testbench.Bench) {
	b := open(t, private)
	p, _ := b.publisher(b.config, func(o *message.PublisherOptions) { o.Wait, o.ConfirmTimeout = time.Second, time.Second })
	handle, hand := byHand()
	c, running := b.consumer(b.config, message.Commands, message.Each{Concurrency: 1, Handle: handle}, nil)
	b.publish(p, requested("before"))
	held := next(t, hand)

	require.NoError(t, private.Servers.RabbitMQ.Control(t.Context(), "set_vm_memory_high_watermark", "0"))
	// The broker reports that it blocks only in response to a publication, which then hangs, sent and unconfirmed.
	var err error
	require.Eventually(t, func() bool {
		err = p.Publish(t.Context(), started("during"))
		return errors.Is(err, message.ErrBlocked)
	}, patience, 10*time.Millisecond)
	require.True(t, message.NotEnqueued(err))
	require.ErrorIs(t, p.Check(t.Context()), message.ErrBlocked)
	require.ErrorContains(t, p.Check(t.Context()), "memory")
	require.NoError(t, c.Check(t.Context()), "a consumer goes on")
	held.decide <- message.Ack

	patient, _ := b.publisher(b.config, nil)
	hung, waiting := make(chan error, 1), make(chan error, 1)
	go func() { hung <- patient.Publish(t.Context(), started("hung")) }()
	require.Eventually(t, func() bool { return errors.Is(patient.Check(t.Context()), message.ErrBlocked) }, patience, 10*time.Millisecond)
	go func() { waiting <- patient.Publish(t.Context(), started("waiting")) }()
	require.NoError(t, private.Servers.RabbitMQ.Control(t.Context(), "set_vm_memory_high_watermark", "0.4"))
	require.NoError(t, next(t, hung), "it was sent before the alarm was known, and is accepted after it")
	require.NoError(t, next(t, waiting), "it is sent after the alarm")
	running.drain()
	running.stopped()
	require.Empty(t, b.take(rabbitmq.QueueCommands))
	b.take(rabbitmq.QueueEvents)
}

func testRestart(t *testing.T, private *testbench.Bench) {
	b := open(t, private)
	p, _ := b.publisher(b.config, nil)
	handle, hand := byHand()
	_, running := b.consumer(b.config, message.Commands, message.Each{Concurrency: 1, Handle: handle}, nil)
	b.publish(p, requested("job-1"))
	lost := next(t, hand)

	require.NoError(t, private.Servers.RabbitMQ.Stop(t.Context()))
	next(t, lost.ctx.Done())
	published := make(chan error, 1)
	go func() { published <- p.Publish(t.Context(), requested("job-2")) }()
	require.NoError(t, private.Servers.RabbitMQ.Start(t.Context()))
	require.NoError(t, next(t, published), "sent once the broker is back")

	again := next(t, hand)
	require.Equal(t, lost.ID, again.ID)
	again.decide <- message.Ack
	other := next(t, hand)
	require.Equal(t, "job-2", other.JobID)
	other.decide <- message.Ack
	running.drain()
	running.stopped()
	b.raw = b.dial()
	require.Empty(t, b.take(rabbitmq.QueueCommands))
	require.Len(t, b.take(rabbitmq.QueueEvents), 2)
}

// testCrash kills the broker under 1,000 publishers. Messages that were confirmed must be in both queues afterwards;
// messages that are certain not to be enqueued must be in neither.
func testCrash(t *testing.T, private *testbench.Bench) {
	const publishers = 1000
	b := open(t, private)
	p, _ := b.publisher(b.config, func(o *message.PublisherOptions) { o.Wait = 2 * time.Second })
	b.connected(p)

	var mu sync.Mutex
	outcomes := map[string]error{}
	var confirmed, lost, confirmedAfter atomic.Int64
	restarted, enough := make(chan struct{}), make(chan struct{})
	var publishing sync.WaitGroup
	for i := range publishers {
		publishing.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-enough:
					return
				default:
				}
				job := fmt.Sprint("job-", i, "-", n)
				err := p.Publish(t.Context(), requested(job))
				mu.Lock()
				outcomes[job] = err
				mu.Unlock()
				switch {
				case err != nil:
					lost.Add(1)
				default:
					confirmed.Add(1)
					select {
					case <-restarted:
						confirmedAfter.Add(1)
					default:
					}
				}
			}
		})
	}
	require.Eventually(t, func() bool { return confirmed.Load() >= publishers }, patience, time.Millisecond)
	require.NoError(t, private.Servers.RabbitMQ.Kill())
	require.Eventually(t, func() bool { return lost.Load() > 0 }, patience, time.Millisecond)
	require.NoError(t, private.Servers.RabbitMQ.Start(t.Context()))
	close(restarted)
	require.Eventually(t, func() bool { return confirmedAfter.Load() >= publishers }, patience, time.Millisecond)
	close(enough)
	publishing.Wait()

	b.raw = b.dial()
	inWork, inStatus := b.inventory(rabbitmq.QueueCommands), b.inventory(rabbitmq.QueueEvents)
	count := map[string]int{}
	for job, err := range outcomes {
		switch {
		case err == nil:
			count["confirmed"]++
			require.NotZero(t, inWork[job], "%s was confirmed and is lost", job)
			require.NotZero(t, inStatus[job], "%s was confirmed and is lost", job)
		case message.NotEnqueued(err):
			count["not enqueued"]++
			require.Zero(t, inWork[job], "%s is there: %v", job, err)
			require.Zero(t, inStatus[job], "%s is there: %v", job, err)
		default:
			require.ErrorIs(t, err, message.ErrUnconfirmed)
			count["unknown"]++
			if inWork[job] > 0 || inStatus[job] > 0 {
				count["unknown and there"]++
			}
		}
	}
	t.Log(count)
}

// inventory takes everything out of a queue and counts it by job. It is faster than take for a long queue.
func (b *bench) inventory(queue string) map[string]int {
	b.t.Helper()
	channel := b.channel()
	require.NoError(b.t, channel.Qos(1000, 0, false))
	n := b.ready(queue)
	deliveries, err := channel.Consume(queue, "", false, false, false, false, nil)
	require.NoError(b.t, err)
	jobs := map[string]int{}
	for i := range n {
		d := next[amqp.Delivery](b.t, deliveries)
		jobs[d.CorrelationId]++
		if i%500 == 499 || i == n-1 {
			require.NoError(b.t, d.Ack(true))
		}
	}
	return jobs
}
