package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
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

func TestPublishedMessageIsInEveryBoundQueue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4, 5, 6}, TraceFlags: trace.FlagsSampled,
	}))
	sent := requested("job-1")
	require.NoError(t, p.Publish(ctx, sent))

	for _, queue := range []string{rabbitmq.QueueCommands, rabbitmq.QueueEvents} {
		deliveries := b.take(queue)
		require.Len(t, deliveries, 1, queue)
		d := deliveries[0]
		require.Equal(t, "docmill.conversion.v1.ConvertRequested", d.Type)
		require.Equal(t, "application/protobuf", d.ContentType)
		require.Equal(t, "job-1", d.CorrelationId)
		require.Equal(t, "test", d.AppId)
		require.Equal(t, amqp.Persistent, d.DeliveryMode)
		require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-`, d.MessageId, "a UUIDv7")
		require.WithinDuration(t, time.Now(), d.Timestamp, patience)
		require.EqualValues(t, 1, d.Headers["docmill-attempt"])
		require.Equal(t, "00-01020300000000000000000000000000-0405060000000000-01", d.Headers["traceparent"])
		require.Empty(t, d.Expiration)
		var got conversionv1.ConvertRequested
		require.NoError(t, proto.Unmarshal(d.Body, &got))
		require.True(t, proto.Equal(sent.Body, &got))
	}
}

func TestDelayedCommandIsInItsRetryQueueAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	m := requested("job-1")
	m.Returned, m.Delay, m.Attempt = true, message.RetryDelays()[2], 3
	b.publish(p, m)
	deliveries := b.take("docmill.convert.retry.5m.v2")
	require.Len(t, deliveries, 1)
	require.EqualValues(t, 3, deliveries[0].Headers["docmill-attempt"])
	require.Empty(t, b.take(rabbitmq.QueueEvents))
}

// delayed is a message for one queue alone, which it reaches by its name.
func delayed(job string) message.Message {
	m := requested(job)
	m.Returned, m.Delay = true, message.RetryDelays()[0]
	return m
}

func TestUnroutableMessagesAreDistinguished(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	b.connected(p) // it has declared everything
	_, err := b.channel().QueueDelete(rabbitmq.RetryQueue(message.RetryDelays()[0]), false, false, false)
	require.NoError(t, err)
	const n = 200
	var outcomes [n]error
	var publishing sync.WaitGroup
	for i := range n {
		publishing.Go(func() {
			m := started(fmt.Sprint("job-", i))
			if i%2 == 0 {
				m = delayed(m.JobID)
			}
			outcomes[i] = p.Publish(t.Context(), m)
		})
	}
	publishing.Wait()
	for i, err := range outcomes {
		if i%2 != 0 {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, message.ErrUnroutable)
		require.True(t, message.NotEnqueued(err))
	}
	require.Len(t, b.take(rabbitmq.QueueEvents), n/2)
}

func TestFullQueueRejects(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	fill := func(m message.Message) error {
		for range 100 { // a quorum queue's limit is a soft one
			if err := p.Publish(t.Context(), m); err != nil {
				return err
			}
		}
		return nil
	}
	b.limit(rabbitmq.RetryQueue(message.RetryDelays()[0]), 1)
	err := fill(delayed("job-1"))
	require.ErrorIs(t, err, message.ErrNacked)
	require.True(t, message.NotEnqueued(err), "the only queue rejected it")

	_, err = b.channel().QueueDeclare("tiny", true, false, false, false, amqp.Table{
		"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish",
	})
	require.NoError(t, err)
	require.NoError(t, b.channel().QueueBind("tiny", "job.started", rabbitmq.ExchangeJobs, false, nil))
	err = fill(started("job-2"))
	require.ErrorIs(t, err, message.ErrNacked)
	require.False(t, message.NotEnqueued(err), "another queue may have accepted it")
	require.NotEmpty(t, b.take(rabbitmq.QueueEvents), "and it has")
}

func TestUnpublishable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	for name, m := range map[string]message.Message{
		"no body":                {JobID: "job-1"},
		"no body for a delay":    {JobID: "job-1", Delay: message.RetryDelays()[0]},
		"no routing key":         {JobID: "job-1", Body: &conversionv1.Source{}},
		"text that is not UTF-8": {JobID: "job-1", Body: &conversionv1.ConversionStarted{JobId: "\xff"}},
	} {
		err := p.Publish(t.Context(), m)
		require.ErrorIs(t, err, message.ErrUnpublishable, name)
		require.True(t, message.NotEnqueued(err), name)
	}
}

func TestNotConnected(t *testing.T) {
	t.Parallel()
	b := setup(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close()) // no broker listens there
	nowhere := b.config
	nowhere.URL = "amqp://" + listener.Addr().String() + "/"
	p, running := b.publisher(nowhere, func(o *message.PublisherOptions) { o.Wait = 50 * time.Millisecond })

	err = p.Publish(t.Context(), started("job-1"))
	require.ErrorIs(t, err, message.ErrNotConnected)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.True(t, message.NotEnqueued(err))
	require.ErrorIs(t, p.Check(t.Context()), message.ErrNotConnected)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	err = p.Publish(ended, started("job-1"))
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, message.NotEnqueued(err))

	running.drain()
	running.stopped()
	require.ErrorIs(t, p.Publish(t.Context(), started("job-1")), message.ErrNotConnected, "it has stopped")
}

func TestPublishWaitsForAConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := testbench.Proxy(t, b.BrokerURL)
	link.Cut()
	through := b.config
	through.URL = link.Through(b.BrokerURL)
	p, _ := b.publisher(through, nil)
	outcome := make(chan error, 1)
	go func() { outcome <- p.Publish(t.Context(), started("job-1")) }()
	require.ErrorIs(t, p.Check(t.Context()), message.ErrNotConnected)
	link.Restore()
	require.NoError(t, next(t, outcome))
	require.Len(t, b.take(rabbitmq.QueueEvents), 1)
}

func TestMissingConfirmIsUnconfirmedAndNotFailed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := testbench.Proxy(t, b.BrokerURL)
	through := b.config
	through.URL = link.Through(b.BrokerURL)
	b.inFlight = 2
	p, _ := b.publisher(through, func(o *message.PublisherOptions) { o.ConfirmTimeout, o.Wait = 200*time.Millisecond, time.Second })
	b.connected(p)

	link.Delay(2 * time.Second) // the message arrives in time, the confirm does not
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errImpatient)
	defer cancel()
	err := p.Publish(ctx, started("the caller gives up"))
	require.ErrorIs(t, err, message.ErrUnconfirmed)
	require.ErrorIs(t, err, errImpatient)
	err = p.Publish(t.Context(), started("time is up"))
	require.ErrorIs(t, err, message.ErrUnconfirmed)
	require.False(t, message.NotEnqueued(err))
	require.Len(t, b.take(rabbitmq.QueueEvents), 2, "both are in the queue nevertheless")

	link.Heal()
	link.Stall()
	err = p.Publish(t.Context(), started("the connection is lost"))
	for i := 0; i < 3 && !message.NotEnqueued(err); i++ {
		require.ErrorIs(t, err, message.ErrUnconfirmed)
		err = p.Publish(t.Context(), started("the connection is lost"))
	}
	require.True(t, message.NotEnqueued(err), "messages whose callers have given up still count")
	link.Heal()
	link.Cut()
	link.Restore()
	require.Eventually(t, func() bool { return p.Publish(t.Context(), started("again")) == nil }, patience, 10*time.Millisecond)
}

// TestMissingConfirmsEndTheSession checks that a broker that never confirms does not keep a publisher from working with one
// that does. Long before that, heartbeats would find a connection that is dead.
func TestMissingConfirmsEndTheSession(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := testbench.Proxy(t, b.BrokerURL)
	through := b.config
	through.URL = link.Through(b.BrokerURL)
	p, _ := b.publisher(through, func(o *message.PublisherOptions) { o.ConfirmTimeout = 500 * time.Millisecond })
	b.connected(p)
	link.Delay(time.Hour)
	require.ErrorIs(t, p.Publish(t.Context(), started("job-1")), message.ErrUnconfirmed)
	saw := func(want error) func() bool { return func() bool { return errors.Is(p.Check(t.Context()), want) } }
	require.Eventually(t, saw(message.ErrUnconfirmed), patience, time.Millisecond)
	require.Eventually(t, func() bool {
		err := p.Check(t.Context())
		return errors.Is(err, message.ErrNotConnected) && strings.Contains(err.Error(), "has not confirmed a message within 1s")
	}, patience, time.Millisecond)
	link.Heal()
	require.Eventually(t, func() bool { return p.Publish(t.Context(), started("job-2")) == nil }, patience, 10*time.Millisecond)
}

// TestUnconfirmedProgressIsHarmless checks that a queue of the progress that never confirms affects progress alone.
func TestUnconfirmedProgressIsHarmless(t *testing.T) {
	t.Parallel()
	b := open(t, testbench.NewPrivate(t))
	const timeout, reports = 2 * time.Second, 1000
	p, running := b.publisher(b.config, func(o *message.PublisherOptions) { o.Wait, o.ConfirmTimeout = timeout, timeout })
	b.connected(p)
	leader := func(do string) { // the process of the queue
		b.t.Helper()
		require.NoError(t, b.Servers.RabbitMQ.Control(t.Context(), "eval",
			fmt.Sprintf(`ok = sys:%s('%s_%s').`, do, b.Vhost, rabbitmq.QueueProgress)))
	}
	leader("suspend")
	var publishing sync.WaitGroup
	for i := range reports {
		publishing.Go(func() {
			if err := p.Publish(t.Context(), progressed(fmt.Sprint("job-", i))); err == nil {
				t.Error("confirmed")
			}
		})
	}
	publishing.Wait()
	for since := time.Now(); time.Since(since) < 3*timeout; {
		require.NoError(t, p.Check(t.Context()))
		require.NoError(t, p.Publish(t.Context(), started("job")))
	}
	leader("resume")
	require.Eventually(t, func() bool { return p.Publish(t.Context(), progressed("job")) == nil }, patience, 10*time.Millisecond)

	leader("suspend")
	require.ErrorIs(t, p.Publish(t.Context(), progressed("job")), message.ErrUnconfirmed)
	running.drain()
	running.stopped()
}

func TestConnectionLostAfterSendingIsUnconfirmed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := testbench.Proxy(t, b.BrokerURL)
	through := b.config
	through.URL = link.Through(b.BrokerURL)
	p, _ := b.publisher(through, nil)
	b.connected(p)
	link.Delay(time.Hour)
	outcome := make(chan error, 1)
	go func() { outcome <- p.Publish(t.Context(), started("job-1")) }()
	b.becomes(rabbitmq.QueueEvents, 1)
	link.Cut()
	err := next(t, outcome)
	require.ErrorIs(t, err, message.ErrUnconfirmed)
	require.False(t, message.NotEnqueued(err))
}

func TestStoppingPublisherWaitsForConfirms(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := testbench.Proxy(t, b.BrokerURL)
	through := b.config
	through.URL = link.Through(b.BrokerURL)
	p, running := b.publisher(through, nil)
	b.connected(p)
	link.Delay(500 * time.Millisecond)
	outcome := make(chan error, 1)
	go func() { outcome <- p.Publish(t.Context(), started("job-1")) }()
	b.becomes(rabbitmq.QueueEvents, 1)
	running.drain()
	require.NoError(t, next(t, outcome))
	running.stopped()
}

func TestForcedCloseIsRepaired(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, _ := b.publisher(b.config, nil)
	b.publish(p, started("before"))
	b.closeConnection("test publisher")
	require.Eventually(t, func() bool { return p.Publish(t.Context(), started("after")) == nil }, patience, 10*time.Millisecond)
}

// TestContradictingTopologyIsRetried: an operator must remove a queue that exists with other arguments.
func TestContradictingTopologyIsRetried(t *testing.T) {
	t.Parallel()
	b := setup(t)
	channel := b.channel()
	_, err := channel.QueueDelete(rabbitmq.QueueCommands, false, false, false)
	require.NoError(t, err)
	_, err = channel.QueueDeclare(rabbitmq.QueueCommands, true, false, false, false, nil)
	require.NoError(t, err)

	p, _ := b.publisher(b.config, nil)
	require.Eventually(t, func() bool {
		err := p.Check(t.Context())
		return err != nil && err.Error() != message.ErrNotConnected.Error()
	}, patience, 10*time.Millisecond)
	require.ErrorContains(t, p.Check(t.Context()), "declare the queue "+rabbitmq.QueueCommands)
	_, err = channel.QueueDelete(rabbitmq.QueueCommands, false, false, false)
	require.NoError(t, err)
	b.publish(p, requested("job-1"))
}
