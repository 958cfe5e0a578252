package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/rabbitmq"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// taken is a delivery that a handler works on; decide settles it.
type taken struct {
	*message.Delivery
	ctx    context.Context
	decide chan message.Outcome
}

// byHand returns a handler that lets the test decide about each delivery. When its connection is lost it returns Ack,
// as one would that has finished in that very moment; when it is abandoned, Requeue.
func byHand() (func(context.Context, *message.Delivery) message.Outcome, <-chan taken) {
	hand := make(chan taken)
	return func(ctx context.Context, d *message.Delivery) message.Outcome {
		t := taken{Delivery: d, ctx: ctx, decide: make(chan message.Outcome, 1)}
		select {
		case hand <- t:
		case <-ctx.Done():
			return message.Requeue
		}
		select {
		case outcome := <-t.decide:
			return outcome
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), message.ErrConnectionLost) {
				return message.Ack
			}
			return message.Requeue
		}
	}, hand
}

// TestEveryListenerReceives: each has a queue of its own, which is removed with it.
func TestEveryListenerReceives(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	announcement := message.Message{Body: &conversionv1.ConverterAnnounced{ConverterId: "c", SourceFormats: []string{"pptx"}}}
	require.ErrorIs(t, p.Publish(t.Context(), announcement), message.ErrUnroutable, "no listener yet")

	var received []<-chan taken
	for range 2 {
		handle, hand := byHand()
		listener, _ := b.consumer(b.config, message.Announcements, message.Each{Concurrency: 1, Handle: handle}, nil)
		b.connected(listener)
		received = append(received, hand)
	}
	require.NoError(t, p.Publish(t.Context(), announcement))
	for _, hand := range received {
		d := <-hand
		body, err := d.Message()
		require.NoError(t, err)
		require.True(t, proto.Equal(announcement.Body, body))
		d.decide <- message.Ack
	}
}

func TestDeliveryCarriesMessageAndTrace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	sent := requested("job-1")
	sent.Attempt = 3
	require.NoError(t, p.Publish(trace.ContextWithSpanContext(t.Context(), span), sent))

	handle, hand := byHand()
	b.consumer(b.config, message.Commands, message.Each{Concurrency: 1, Handle: handle}, nil)
	d := next(t, hand)
	require.Equal(t, "docmill.conversion.v1.ConvertRequested", d.Type)
	require.Equal(t, "job-1", d.JobID)
	require.NotEmpty(t, d.ID)
	require.Equal(t, "test", d.App)
	require.Equal(t, 3, d.Attempt)
	require.Zero(t, d.DeliveryCount)
	require.Empty(t, d.Death)
	require.WithinDuration(t, time.Now(), d.PublishedAt, patience)
	got, err := d.Message()
	require.NoError(t, err)
	require.True(t, proto.Equal(sent.Body, got))
	require.Equal(t, span.TraceID(), trace.SpanContextFromContext(d.ctx).TraceID())
	require.Equal(t, span.SpanID(), trace.SpanContextFromContext(d.ctx).SpanID())
	d.decide <- message.Ack
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	handle, hand := byHand()
	_, running := b.consumer(b.config, message.Commands, message.Each{Concurrency: 1, Handle: handle}, nil)
	b.publish(p, requested("job-1"))

	first := next(t, hand)
	first.decide <- message.Requeue
	again := next(t, hand)
	require.Equal(t, first.ID, again.ID, "a requeued delivery comes again")
	again.decide <- message.DeadLetter
	b.publish(p, requested("job-2"))
	second := next(t, hand)
	require.Equal(t, "job-2", second.JobID)
	second.decide <- message.Ack
	running.drain()
	running.stopped()
	require.Empty(t, b.take(rabbitmq.QueueCommands), "all are settled")

	handle, hand = byHand()
	b.consumer(b.config, message.DeadCommands, message.Each{Concurrency: 1, Handle: handle}, nil)
	dead := next(t, hand)
	require.Equal(t, first.ID, dead.ID)
	require.Equal(t, message.Rejected, dead.Death)
	dead.decide <- message.Ack
}

func TestEachHandlesNoMoreThanItsConcurrency(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	for i := range 5 {
		b.publish(p, requested(fmt.Sprint("job-", i)))
	}
	handle, hand := byHand()
	b.consumer(b.config, message.Commands, message.Each{Concurrency: 3, Handle: handle}, nil)
	inHand := []taken{next(t, hand), next(t, hand), next(t, hand)}
	require.Equal(t, 2, b.ready(rabbitmq.QueueCommands), "the others were not even sent")
	inHand[1].decide <- message.Ack
	fourth := next(t, hand)
	require.Equal(t, "job-3", fourth.JobID)
}

// TestLateAckIsHarmless: the handler of a lost delivery returns Ack. It must neither settle that delivery, which comes
// again, nor any other.
func TestLateAckIsHarmless(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := testbench.Proxy(t, b.BrokerURL)
	through := b.config
	through.URL = link.Through(b.BrokerURL)
	p, _ := b.publisher(b.config, nil)
	b.publish(p, requested("job-1"), requested("job-2"))
	handle, hand := byHand()
	c, running := b.consumer(through, message.Commands, message.Each{Concurrency: 1, Handle: handle}, nil)

	lost := next(t, hand)
	link.Cut()
	next(t, lost.ctx.Done())
	require.ErrorIs(t, context.Cause(lost.ctx), message.ErrConnectionLost)
	require.Eventually(t, func() bool { return errors.Is(c.Check(t.Context()), message.ErrNotConnected) }, patience, 10*time.Millisecond)
	b.becomes(rabbitmq.QueueCommands, 2)
	link.Restore()

	again := next(t, hand)
	require.Equal(t, lost.ID, again.ID)
	require.Equal(t, 1, again.DeliveryCount)
	again.decide <- message.Ack
	other := next(t, hand)
	require.Equal(t, "job-2", other.JobID)
	other.decide <- message.Ack
	running.drain()
	running.stopped()
	require.Empty(t, b.take(rabbitmq.QueueCommands))
}

func TestForcedCloseBringsDeliveriesAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	b.publish(p, requested("job-1"))
	handle, hand := byHand()
	b.consumer(b.config, message.Commands, message.Each{Concurrency: 1, Handle: handle}, nil)
	lost := next(t, hand)
	b.closeConnection("test consumer of " + rabbitmq.QueueCommands)
	next(t, lost.ctx.Done())
	require.ErrorIs(t, context.Cause(lost.ctx), message.ErrConnectionLost)
	require.Equal(t, lost.ID, next(t, hand).ID)
}

// TestCanceledSubscriptionIsRestored: the broker cancels a subscription when its queue is deleted; connection and
// channel stay open. The test does not publish meanwhile: RabbitMQ 3.10 confirms what a channel publishes to a queue
// that was deleted and declared again in the meantime, and drops it (seen in 5 of 6 trials); a new channel does not
// have that problem.
func TestCanceledSubscriptionIsRestored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	handle, hand := byHand()
	c, _ := b.consumer(b.config, message.Commands, message.Each{Concurrency: 1, Handle: handle}, nil)
	b.connected(c)
	_, err := b.channel().QueueDelete(rabbitmq.QueueCommands, false, false, false)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return b.exists(rabbitmq.QueueCommands) }, patience, 10*time.Millisecond, "declared again")
	p, _ := b.publisher(b.config, nil)
	b.publish(p, requested("job-1"))
	next(t, hand).decide <- message.Ack
}

// TestFailedResumeReconnects has a suspended consumer whose queue is deleted. It does not notice before it subscribes again.
func TestFailedResumeReconnects(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	handle, hand := byHand()
	sick := &atomic.Bool{}
	ready := func(context.Context) error {
		if sick.Load() {
			return errDown
		}
		return nil
	}
	c, _ := b.consumer(b.config, message.Commands, message.Each{Concurrency: 1, Handle: handle},
		func(o *message.ConsumerOptions) { o.Ready = ready })
	b.publish(p, requested("job-1"))
	first := next(t, hand)
	sick.Store(true)
	first.decide <- message.Suspend
	channel := b.channel()
	require.Eventually(t, func() bool {
		queue, err := channel.QueueDeclarePassive(rabbitmq.QueueCommands, true, false, false, false, nil)
		return err == nil && queue.Consumers == 0
	}, patience, 10*time.Millisecond)
	require.ErrorContains(t, c.Check(t.Context()), "suspended")
	_, err := channel.QueueDelete(rabbitmq.QueueCommands, false, false, false)
	require.NoError(t, err)
	sick.Store(false)
	require.Eventually(t, func() bool { return b.exists(rabbitmq.QueueCommands) }, patience, 10*time.Millisecond, "declared again")
	b.connected(c)
	again, _ := b.publisher(b.config, nil)
	b.publish(again, requested("job-2"))
	second := next(t, hand)
	require.Equal(t, "job-2", second.JobID)
	second.decide <- message.Ack
}

func (b *bench) exists(queue string) bool {
	channel, err := b.raw.Channel()
	require.NoError(b.t, err)
	defer channel.Close()
	_, err = channel.QueueDeclarePassive(queue, true, false, false, false, nil)
	return err == nil
}

// TestKillerIsDeadLettered: what is delivered and lost again and again is dead-lettered.
func TestKillerIsDeadLettered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	b.publish(p, requested("killer"))
	for i := range message.CommandsDeliveryLimit + 1 {
		connection := b.dial()
		channel, err := connection.Channel()
		require.NoError(t, err)
		deliveries, err := channel.Consume(rabbitmq.QueueCommands, "", false, false, false, false, nil)
		require.NoError(t, err)
		d := next(t, deliveries)
		if i > 0 {
			require.EqualValues(t, i, d.Headers["x-delivery-count"])
		}
		require.NoError(t, connection.Close())
	}
	handle, hand := byHand()
	b.consumer(b.config, message.DeadCommands, message.Each{Concurrency: 1, Handle: handle}, nil)
	d := next(t, hand)
	require.Equal(t, "killer", d.JobID)
	require.Equal(t, message.DeliveryLimit, d.Death)
}

func TestDrainFinishesWhatIsInHand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	b.publish(p, requested("job-1"), requested("job-2"), requested("job-3"))
	handle, hand := byHand()
	_, running := b.consumer(b.config, message.Commands, message.Each{Concurrency: 2, Handle: handle}, nil)
	first, second := next(t, hand), next(t, hand)
	running.drain()
	first.decide <- message.Ack
	second.decide <- message.Ack
	running.stopped()
	require.NotErrorIs(t, context.Cause(first.ctx), message.ErrConnectionLost, "nothing cut it short while it worked")
	rest := b.take(rabbitmq.QueueCommands)
	require.Len(t, rest, 1, "two are acknowledged, the third was not begun")
	require.Equal(t, "job-3", rest[0].CorrelationId)
}

func TestDeadlineAbandonsWhatIsInHand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	b.publish(p, requested("job-1"))
	handle, hand := byHand()
	_, running := b.consumer(b.config, message.Commands, message.Each{Concurrency: 1, Handle: handle}, nil)
	d := next(t, hand)
	running.drain()
	running.cancel()
	next(t, d.ctx.Done())
	running.stopped()
	b.becomes(rabbitmq.QueueCommands, 1)
}

func TestDrainWithoutABroker(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := testbench.Proxy(t, b.BrokerURL)
	link.Cut()
	through := b.config
	through.URL = link.Through(b.BrokerURL)
	handle, _ := byHand()
	c, running := b.consumer(through, message.Commands, message.Each{Concurrency: 1, Handle: handle}, nil)
	require.ErrorIs(t, c.Check(t.Context()), message.ErrNotConnected)
	running.drain()
	running.stopped()
}

func TestDrainWhileTheBrokerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := testbench.Proxy(t, b.BrokerURL)
	link.Stall()
	through := b.config
	through.URL = link.Through(b.BrokerURL)
	handle, _ := byHand()
	_, running := b.consumer(through, message.Commands, message.Each{Concurrency: 1, Handle: handle}, nil)
	running.drain()
	running.stopped()
}

func TestDelayedCommandComesBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	m := requested("job-1")
	m.Returned, m.Delay, m.Attempt = true, message.RetryDelays()[0], 2
	began := time.Now()
	b.publish(p, m)
	handle, hand := byHand()
	b.consumer(b.config, message.Returned, message.Each{Concurrency: 1, Handle: handle}, nil)
	d := next(t, hand)
	require.GreaterOrEqual(t, time.Since(began), m.Delay-time.Second)
	require.Equal(t, 2, d.Attempt)
	require.Zero(t, d.DeliveryCount)
	require.Empty(t, d.Death, "x-death says that it has expired, but it is not dead")
	d.decide <- message.Ack
}

// TestForeignHeaders: a message that another program published has none of our headers.
func TestForeignHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.channel().PublishWithContext(t.Context(), "", rabbitmq.QueueCommands, true, false, amqp.Publishing{
		Headers: amqp.Table{"docmill-attempt": "many", "x-death": "yes", "traceparent": int64(7)}, Body: []byte("hello"),
	}))
	handle, hand := byHand()
	b.consumer(b.config, message.Commands, message.Each{Concurrency: 1, Handle: handle}, nil)
	d := next(t, hand)
	require.Equal(t, 1, d.Attempt)
	require.Empty(t, d.Death)
	require.False(t, trace.SpanContextFromContext(d.ctx).IsValid())
	_, err := d.Message()
	require.ErrorIs(t, err, message.ErrMalformed)
	d.decide <- message.DeadLetter
	b.becomes(rabbitmq.QueueDeadCommands, 1)
}
