package rabbitmq_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/rabbitmq"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

func TestMain(m *testing.M) { testbench.Main(m) }

// patience limits how long a test waits. It never measures anything: the machine may be busy.
const patience = 60 * time.Second

// errImpatient is why a test stopped waiting.
var errImpatient = errors.New("did not arrive in time")

// bench is a virtual host, and components that run against it until the test ends.
type bench struct {
	*testbench.Bench
	t      testing.TB
	config rabbitmq.Config
	raw    *amqp.Connection
	// What the brokers of the test get.
	log      *zap.Logger
	registry prometheus.Registerer
	inFlight int
}

func setup(t testing.TB) *bench { return open(t, testbench.New(t)) }

func open(t testing.TB, shared *testbench.Bench) *bench {
	t.Helper()
	b := &bench{Bench: shared, t: t, log: zaptest.NewLogger(t), config: rabbitmq.Config{
		URL: shared.BrokerURL, Username: shared.BrokerUsername, Password: config.NewSecret(shared.BrokerPassword),
	}}
	b.raw = b.dial()
	require.NoError(t, rabbitmq.Declare(b.channel()))
	return b
}

// dial connects, bypassing the code under test.
func (b *bench) dial() *amqp.Connection {
	b.t.Helper()
	connection, err := amqp.DialConfig(b.BrokerURL, amqp.Config{
		SASL: []amqp.Authentication{&amqp.PlainAuth{Username: b.BrokerUsername, Password: b.BrokerPassword}},
	})
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = connection.Close() })
	return connection
}

func (b *bench) channel() *amqp.Channel {
	b.t.Helper()
	channel, err := b.raw.Channel()
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = channel.Close() })
	return channel
}

// component is a running publisher or consumer.
type component struct {
	t      testing.TB
	drain  func()
	cancel func()
	done   chan error
}

func (b *bench) run(r message.Runner) *component {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	drain := make(chan struct{})
	p := &component{t: b.t, drain: sync.OnceFunc(func() { close(drain) }), cancel: cancel, done: make(chan error, 1)}
	ready := make(chan struct{})
	go func() { p.done <- r.Run(ctx, func() { close(ready) }, drain) }()
	<-ready
	b.t.Cleanup(func() {
		p.cancel()
		p.stopped()
	})
	return p
}

// stopped waits until Run has returned.
func (p *component) stopped() {
	p.t.Helper()
	select {
	case err := <-p.done:
		require.NoError(p.t, err)
		p.done <- nil // for the cleanup
	case <-time.After(patience):
		require.FailNow(p.t, "it did not stop")
	}
}

func (b *bench) broker(config rabbitmq.Config) *rabbitmq.Broker {
	b.t.Helper()
	broker, err := rabbitmq.New(config, "test", b.log, b.registry)
	require.NoError(b.t, err)
	if b.inFlight > 0 {
		broker.SetInFlight(b.inFlight)
	}
	return broker
}

func (b *bench) publisher(config rabbitmq.Config, change func(*message.PublisherOptions)) (message.Publisher, *component) {
	b.t.Helper()
	options := message.PublisherOptions{Wait: patience, ConfirmTimeout: patience}
	if change != nil {
		change(&options)
	}
	p, err := b.broker(config).NewPublisher(options)
	require.NoError(b.t, err)
	return p, b.run(p)
}

func (b *bench) consumer(
	config rabbitmq.Config, queue message.Queue, handler message.Handler, change func(*message.ConsumerOptions),
) (message.Consumer, *component) {
	b.t.Helper()
	var options message.ConsumerOptions
	if change != nil {
		change(&options)
	}
	c, err := b.broker(config).NewConsumer(queue, handler, options)
	require.NoError(b.t, err)
	return c, b.run(c)
}

// connected waits until Check returns nil, which nothing announces.
func (b *bench) connected(r message.Runner) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return r.Check(b.t.Context()) == nil }, patience, 10*time.Millisecond)
}

// requested, started and progressed are messages: for two queues, for the status queue alone, and one that may be lost.
func requested(job string) message.Message {
	return message.Message{JobID: job, Body: &conversionv1.ConvertRequested{
		JobId: job, RequestedAt: timestamppb.Now(), Tag: "a label",
		Source: &conversionv1.Source{ObjectKey: job, Filename: "deck.pptx", Format: "pptx", Size: 1, Sha256: make([]byte, 32)},
		Target: &conversionv1.Target{Format: "pdf"},
	}}
}

func started(job string) message.Message {
	return message.Message{JobID: job, Body: &conversionv1.ConversionStarted{JobId: job, Attempt: 1, StartedAt: timestamppb.Now()}}
}

func progressed(job string) message.Message {
	return message.Message{JobID: job, Body: &conversionv1.ConversionProgressed{
		JobId: job, Attempt: 1, Phase: conversionv1.Phase_PHASE_CONVERTING, ProgressedAt: timestamppb.Now(),
	}}
}

func (b *bench) publish(p message.Publisher, messages ...message.Message) {
	b.t.Helper()
	for _, m := range messages {
		require.NoError(b.t, p.Publish(b.t.Context(), m))
	}
}

// take takes everything out of a queue, bypassing the code under test.
func (b *bench) take(queue string) []amqp.Delivery {
	b.t.Helper()
	channel := b.channel()
	var taken []amqp.Delivery
	for {
		d, found, err := channel.Get(queue, true)
		require.NoError(b.t, err)
		if !found {
			return taken
		}
		taken = append(taken, d)
	}
}

// ready counts the messages that wait in a queue.
func (b *bench) ready(queue string) int {
	b.t.Helper()
	channel, err := b.raw.Channel()
	require.NoError(b.t, err)
	defer channel.Close()
	state, err := channel.QueueDeclarePassive(queue, true, false, false, false, nil)
	require.NoError(b.t, err)
	return state.Messages
}

// becomes waits until n messages wait in a queue. The broker has no notification for that, so it polls.
func (b *bench) becomes(queue string, n int) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return b.ready(queue) == n }, patience, 20*time.Millisecond, "%d messages in %s", n, queue)
}

// next waits for the next value of a channel.
func next[T any](t testing.TB, values <-chan T) T {
	t.Helper()
	select {
	case v := <-values:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing arrived")
		panic(io.EOF)
	}
}
