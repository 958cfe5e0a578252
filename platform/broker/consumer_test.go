package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap/zaptest"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/broker"
	"github.com/docmill/docmill/platform/topology"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// taken is a delivery in a handler's hand, and decide settles it.
type taken struct {
	*broker.Delivery
	ctx    context.Context
	decide chan broker.Outcome
}

// byHand is a handler that asks the test what to do with each delivery. When its connection is lost it returns Ack, as one
// would that has finished in that very moment; when it is abandoned, Release.
func byHand() (broker.EachHandler, <-chan taken) {
	hand := make(chan taken)
	return func(ctx context.Context, d *broker.Delivery) broker.Outcome {
		t := taken{Delivery: d, ctx: ctx, decide: make(chan broker.Outcome, 1)}
		select {
		case hand <- t:
		case <-ctx.Done():
			return broker.Release
		}
		select {
		case outcome := <-t.decide:
			return outcome
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), broker.ErrLost) {
				return broker.Ack
			}
			return broker.Release
		}
	}, hand
}

// TestEveryListenerHears: each has a queue of its own, which nothing is left of.
func TestEveryListenerHears(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	announcement := broker.Message{Body: &conversionv1.ConverterAnnounced{ConverterId: "c", SourceFormats: []string{"pptx"}}}
	require.ErrorIs(t, p.Publish(t.Context(), announcement), broker.ErrUnroutable, "nobody listens yet")

	var heard []<-chan taken
	for range 2 {
		handle, hand := byHand()
		listener, err := broker.NewListener(b.config, topology.Announcements, broker.Each(1, handle), broker.ConsumerOptions{Name: "test", Log: zaptest.NewLogger(t)})
		require.NoError(t, err)
		b.run(listener)
		b.connected(listener)
		heard = append(heard, hand)
	}
	require.NoError(t, p.Publish(t.Context(), announcement))
	for _, hand := range heard {
		d := <-hand
		message, err := d.Message()
		require.NoError(t, err)
		require.True(t, proto.Equal(announcement.Body, message))
		d.decide <- broker.Ack
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
	b.consumer(b.config, topology.Convert, broker.Each(1, handle), nil)
	d := next(t, hand)
	require.Equal(t, "docmill.conversion.v1.ConvertRequested", d.Type)
	require.Equal(t, "job-1", d.JobID)
	require.NotEmpty(t, d.MessageID)
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
	d.decide <- broker.Ack
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	handle, hand := byHand()
	_, running := b.consumer(b.config, topology.Convert, broker.Each(1, handle), nil)
	b.publish(p, requested("job-1"))

	first := next(t, hand)
	first.decide <- broker.Release
	again := next(t, hand)
	require.Equal(t, first.MessageID, again.MessageID, "a released delivery comes again")
	again.decide <- broker.DeadLetter
	b.publish(p, requested("job-2"))
	second := next(t, hand)
	require.Equal(t, "job-2", second.JobID)
	second.decide <- broker.Ack
	running.drain()
	running.stopped()
	require.Empty(t, b.take(topology.Convert), "all are settled")

	handle, hand = byHand()
	b.consumer(b.config, topology.ConvertDead, broker.Each(1, handle), nil)
	dead := next(t, hand)
	require.Equal(t, first.MessageID, dead.MessageID)
	require.Equal(t, "rejected", dead.Death)
	dead.decide <- broker.Ack
}

func TestEachHandlesNoMoreThanItsConcurrency(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	for i := range 5 {
		b.publish(p, requested(fmt.Sprint("job-", i)))
	}
	handle, hand := byHand()
	b.consumer(b.config, topology.Convert, broker.Each(3, handle), nil)
	inHand := []taken{next(t, hand), next(t, hand), next(t, hand)}
	require.Equal(t, 2, b.ready(topology.Convert), "the others were not even sent")
	inHand[1].decide <- broker.Ack
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
	c, running := b.consumer(through, topology.Convert, broker.Each(1, handle), nil)

	lost := next(t, hand)
	link.Cut()
	<-lost.ctx.Done()
	require.ErrorIs(t, context.Cause(lost.ctx), broker.ErrLost)
	require.Eventually(t, func() bool { return errors.Is(c.Check(t.Context()), broker.ErrNotConnected) }, patience, 10*time.Millisecond)
	b.becomes(topology.Convert, 2)
	link.Restore()

	again := next(t, hand)
	require.Equal(t, lost.MessageID, again.MessageID)
	require.Equal(t, 1, again.DeliveryCount)
	again.decide <- broker.Ack
	other := next(t, hand)
	require.Equal(t, "job-2", other.JobID)
	other.decide <- broker.Ack
	running.drain()
	running.stopped()
	require.Empty(t, b.take(topology.Convert))
}

func TestForcedCloseBringsDeliveriesAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	b.publish(p, requested("job-1"))
	handle, hand := byHand()
	b.consumer(b.config, topology.Convert, broker.Each(1, handle), nil)
	lost := next(t, hand)
	b.closeConnection("test consumer of " + topology.Convert)
	<-lost.ctx.Done()
	require.ErrorIs(t, context.Cause(lost.ctx), broker.ErrLost)
	require.Equal(t, lost.MessageID, next(t, hand).MessageID)
}

// TestCanceledSubscriptionIsMended: the broker cancels a subscription when its queue is deleted; connection and channel
// live on. Nobody publishes meanwhile: RabbitMQ 3.10 confirms what a channel publishes after that to a queue that was
// deleted and declared again under it, and drops it (seen in 5 of 6 trials); only a new channel is cured of that.
func TestCanceledSubscriptionIsMended(t *testing.T) {
	t.Parallel()
	b := setup(t)
	handle, hand := byHand()
	c, _ := b.consumer(b.config, topology.Convert, broker.Each(1, handle), nil)
	b.connected(c)
	_, err := b.channel().QueueDelete(topology.Convert, false, false, false)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return b.exists(topology.Convert) }, patience, 10*time.Millisecond, "declared again")
	p, _ := b.publisher(b.config, nil)
	b.publish(p, requested("job-1"))
	next(t, hand).decide <- broker.Ack
}

func (b *bench) exists(queue string) bool {
	channel, err := b.raw.Channel()
	require.NoError(b.t, err)
	defer channel.Close()
	_, err = channel.QueueDeclarePassive(queue, true, false, false, false, nil)
	return err == nil
}

// TestKillerIsDeadLettered: what is delivered and lost again and again ends among the dead letters.
func TestKillerIsDeadLettered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	b.publish(p, requested("killer"))
	for i := range topology.ConvertDeliveryLimit + 1 {
		connection := b.dial()
		channel, err := connection.Channel()
		require.NoError(t, err)
		deliveries, err := channel.Consume(topology.Convert, "", false, false, false, false, nil)
		require.NoError(t, err)
		d := next(t, deliveries)
		if i > 0 {
			require.EqualValues(t, i, d.Headers["x-delivery-count"])
		}
		require.NoError(t, connection.Close())
	}
	handle, hand := byHand()
	b.consumer(b.config, topology.ConvertDead, broker.Each(1, handle), nil)
	d := next(t, hand)
	require.Equal(t, "killer", d.JobID)
	require.Equal(t, "delivery_limit", d.Death)
}

func TestDrainFinishesWhatIsInHand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	b.publish(p, requested("job-1"), requested("job-2"), requested("job-3"))
	handle, hand := byHand()
	_, running := b.consumer(b.config, topology.Convert, broker.Each(2, handle), nil)
	first, second := next(t, hand), next(t, hand)
	running.drain()
	first.decide <- broker.Ack
	second.decide <- broker.Ack
	running.stopped()
	require.NotErrorIs(t, context.Cause(first.ctx), broker.ErrLost, "nothing cut it short while it worked")
	rest := b.take(topology.Convert)
	require.Len(t, rest, 1, "two are acknowledged, the third was not begun")
	require.Equal(t, "job-3", rest[0].CorrelationId)
}

func TestDeadlineAbandonsWhatIsInHand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	b.publish(p, requested("job-1"))
	handle, hand := byHand()
	_, running := b.consumer(b.config, topology.Convert, broker.Each(1, handle), nil)
	d := next(t, hand)
	running.drain()
	running.cancel()
	<-d.ctx.Done()
	running.stopped()
	b.becomes(topology.Convert, 1)
}

func TestDrainWithoutABroker(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := testbench.Proxy(t, b.BrokerURL)
	link.Cut()
	through := b.config
	through.URL = link.Through(b.BrokerURL)
	handle, _ := byHand()
	c, running := b.consumer(through, topology.Convert, broker.Each(1, handle), nil)
	require.ErrorIs(t, c.Check(t.Context()), broker.ErrNotConnected)
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
	_, running := b.consumer(through, topology.Convert, broker.Each(1, handle), nil)
	running.drain()
	running.stopped()
}

func TestLadderBringsACommandBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	m := requested("job-1")
	m.Queue, m.Attempt = topology.Ladder()[0].Queue, 2
	began := time.Now()
	b.publish(p, m)
	handle, hand := byHand()
	b.consumer(b.config, topology.Convert, broker.Each(1, handle), nil)
	d := next(t, hand)
	require.GreaterOrEqual(t, time.Since(began), topology.Ladder()[0].Delay-time.Second)
	require.Equal(t, 2, d.Attempt)
	require.Zero(t, d.DeliveryCount)
	require.Equal(t, "expired", d.Death)
	d.decide <- broker.Ack
}

func TestMalformedDeliveries(t *testing.T) {
	t.Parallel()
	const proto, known = "application/protobuf", "docmill.conversion.v1.ConversionStarted"
	for name, d := range map[string]broker.Delivery{
		"unknown type":         {ContentType: proto, Type: "docmill.conversion.v9.Unheard"},
		"no type":              {ContentType: proto},
		"another content type": {ContentType: "application/json", Type: known, Body: []byte("{}")},
		"a body that is none":  {ContentType: proto, Type: known, Body: []byte{0xff}},
	} {
		_, err := d.Message()
		require.ErrorIs(t, err, broker.ErrMalformed, name)
	}
	empty := broker.Delivery{ContentType: proto, Type: known}
	_, err := empty.Message()
	require.NoError(t, err)
}

// TestForeignHeaders: a message that somebody else published has none of ours.
func TestForeignHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.channel().PublishWithContext(t.Context(), "", topology.Convert, true, false, amqp.Publishing{
		Headers: amqp.Table{"docmill-attempt": "many", "x-death": "yes", "traceparent": int64(7)}, Body: []byte("hello"),
	}))
	handle, hand := byHand()
	b.consumer(b.config, topology.Convert, broker.Each(1, handle), nil)
	d := next(t, hand)
	require.Equal(t, 1, d.Attempt)
	require.Empty(t, d.Death)
	require.False(t, trace.SpanContextFromContext(d.ctx).IsValid())
	_, err := d.Message()
	require.ErrorIs(t, err, broker.ErrMalformed)
	d.decide <- broker.DeadLetter
	b.becomes(topology.ConvertDead, 1)
}
