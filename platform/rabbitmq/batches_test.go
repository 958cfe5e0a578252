package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/rabbitmq"
)

// held is a batch that a handler works on; decide ends that.
type held struct {
	ctx    context.Context
	batch  []*message.Delivery
	decide chan error
}

func (h held) jobs() []string {
	var jobs []string
	for _, d := range h.batch {
		jobs = append(jobs, d.JobID)
	}
	return jobs
}

func batchesByHand() (func(context.Context, []*message.Delivery) error, <-chan held) {
	hand := make(chan held)
	return func(ctx context.Context, batch []*message.Delivery) error {
		h := held{ctx: ctx, batch: batch, decide: make(chan error, 1)}
		select {
		case hand <- h:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case err := <-h.decide:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}, hand
}

var errDown = errors.New("the database is down")

func jobs(from, to int) []string {
	var names []string
	for i := from; i < to; i++ {
		names = append(names, fmt.Sprint("job-", i))
	}
	return names
}

func (b *bench) events(p message.Publisher, names []string) {
	b.t.Helper()
	for _, name := range names {
		b.publish(p, started(name))
	}
}

func TestBatchesContainWhatHasArrived(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	handle, hand := batchesByHand()
	c, running := b.consumer(b.config, message.Events, message.Batches{Max: 4, Handle: handle}, nil)
	b.connected(c)

	b.events(p, jobs(0, 1))
	h := next(t, hand)
	require.Equal(t, jobs(0, 1), h.jobs(), "one is a batch: it does not wait for more")
	b.events(p, jobs(1, 11)) // meanwhile
	b.becomes(rabbitmq.QueueEvents, 11-8)
	h.decide <- nil

	seen := 1
	for seen < 11 {
		h := next(t, hand)
		require.LessOrEqual(t, len(h.batch), 4)
		require.Equal(t, jobs(seen, seen+len(h.batch)), h.jobs(), "in order")
		seen += len(h.batch)
		h.decide <- nil
	}
	running.drain()
	running.stopped()
	require.Empty(t, b.take(rabbitmq.QueueEvents), "all are acknowledged")
}

func TestBatchDeadLettersOne(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string][]int{"the first": {0}, "one between": {1}, "the last": {2}, "all": {0, 1, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p, _ := b.publisher(b.config, nil)
			b.events(p, jobs(0, 3))
			handle, hand := batchesByHand()
			_, running := b.consumer(b.config, message.Events, message.Batches{Max: 3, Handle: handle}, nil)
			n := 0
			for n < 3 { // usually one batch of three
				h := next(t, hand)
				for i, d := range h.batch {
					for _, r := range refused {
						if r == n+i {
							d.DeadLetter()
						}
					}
				}
				n += len(h.batch)
				h.decide <- nil
			}
			b.becomes(rabbitmq.QueueDeadEvents, len(refused))
			running.drain()
			running.stopped()
			require.Empty(t, b.take(rabbitmq.QueueEvents))
		})
	}
}

// TestFailingBatchIsHeld: an outage of what the handler writes to does not count as a delivery, however long it takes.
func TestFailingBatchIsHeld(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	handle, hand := batchesByHand()
	b.events(p, jobs(0, 1))
	_, running := b.consumer(b.config, message.Events, message.Batches{Max: 4, Handle: handle}, nil)
	for range 5 {
		h := next(t, hand)
		require.Zero(t, h.batch[0].DeliveryCount)
		h.batch[0].DeadLetter() // counts for this attempt alone
		h.decide <- errDown
	}
	next(t, hand).decide <- nil
	running.drain()
	running.stopped()
	require.Empty(t, b.take(rabbitmq.QueueEvents))
	require.Empty(t, b.take(rabbitmq.QueueDeadEvents))
}

func TestFailingBatchIsReturnedInTheEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	b.events(p, jobs(0, 2))
	handle, hand := batchesByHand()
	_, running := b.consumer(b.config, message.Events, message.Batches{Max: 4, Handle: handle}, func(o *message.ConsumerOptions) { o.RetryFor = time.Nanosecond })
	h := next(t, hand)
	require.Zero(t, h.batch[0].DeliveryCount)
	first := h.batch[0].ID
	h.decide <- errDown
	h = next(t, hand)
	require.Equal(t, first, h.batch[0].ID)
	require.Equal(t, 1, h.batch[0].DeliveryCount, "the redelivery is counted")
	h.decide <- nil
	for n := len(h.batch); n < 2; {
		h = next(t, hand)
		n += len(h.batch)
		h.decide <- nil
	}
	running.drain()
	running.stopped()
	require.Empty(t, b.take(rabbitmq.QueueEvents))
}

// TestNothingIsTakenBeforeTheHandlerIsReady: an outage longer than RetryFor counts one delivery, not one per RetryFor.
func TestNothingIsTakenBeforeTheHandlerIsReady(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	handle, hand := batchesByHand()
	b.events(p, jobs(0, 1))
	questions := make(chan chan error)
	ready := func(ctx context.Context) error {
		answer := make(chan error, 1)
		select {
		case questions <- answer:
			return <-answer
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c, running := b.consumer(b.config, message.Events, message.Batches{Max: 4, Handle: handle}, func(o *message.ConsumerOptions) {
		o.Ready, o.RetryFor = ready, time.Nanosecond
	})
	for range 3 {
		next(t, questions) <- errDown
	}
	require.Equal(t, 1, b.ready(rabbitmq.QueueEvents))
	require.ErrorIs(t, c.Check(t.Context()), message.ErrNotConnected)
	next(t, questions) <- nil
	next(t, hand).decide <- errDown // and returns the batch
	for range 3 {
		next(t, questions) <- errDown
	}
	next(t, questions) <- nil
	h := next(t, hand)
	require.Equal(t, 1, h.batch[0].DeliveryCount)
	h.decide <- nil
	running.drain()
	running.stopped()

	_, running = b.consumer(b.config, message.Events, message.Batches{Max: 4, Handle: handle}, func(o *message.ConsumerOptions) { o.Ready = ready })
	answer := next(t, questions)
	running.drain() // while the handler cannot work
	answer <- errDown
	running.stopped()
}

func TestBatchOfALostConnectionComesAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := testbench.Proxy(t, b.BrokerURL)
	through := b.config
	through.URL = link.Through(b.BrokerURL)
	p, _ := b.publisher(b.config, nil)
	b.events(p, jobs(0, 1))
	handle, hand := batchesByHand()
	b.consumer(through, message.Events, message.Batches{Max: 4, Handle: handle}, nil)
	lost := next(t, hand)
	link.Cut()
	next(t, lost.ctx.Done())
	require.ErrorIs(t, context.Cause(lost.ctx), message.ErrConnectionLost)
	link.Restore()
	again := next(t, hand)
	require.Equal(t, lost.batch[0].ID, again.batch[0].ID)
	again.decide <- nil
	b.becomes(rabbitmq.QueueEvents, 0)
}

func TestDrainFinishesTheBatchInHand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	b.events(p, jobs(0, 5))
	handle, hand := batchesByHand()
	_, running := b.consumer(b.config, message.Events, message.Batches{Max: 1, Handle: handle}, nil)
	h := next(t, hand)
	running.drain()
	h.decide <- nil
	running.stopped()
	rest := b.take(rabbitmq.QueueEvents)
	require.Len(t, rest, 4, "one is acknowledged, the others are returned")
}

func TestDrainEndsTheRetriesOfABatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	b.events(p, jobs(0, 1))
	handle, hand := batchesByHand()
	_, running := b.consumer(b.config, message.Events, message.Batches{Max: 1, Handle: handle}, nil)
	h := next(t, hand)
	running.drain()
	h.decide <- errDown
	running.stopped()
	b.becomes(rabbitmq.QueueEvents, 1)
}
