package broker_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/broker"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/topology"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

func TestMain(m *testing.M) { testbench.Main(m) }

// patience bounds what a test waits for. It is never the measure of anything: the machine may be busy.
const patience = 60 * time.Second

// errImpatient is why a test stopped waiting.
var errImpatient = errors.New("did not come in time")

// bench is a virtual host, and parts that run against it until the test ends.
type bench struct {
	*testbench.Bench
	t      testing.TB
	config broker.Config
	raw    *amqp.Connection
}

func setup(t testing.TB) *bench { return open(t, testbench.New(t)) }

func open(t testing.TB, shared *testbench.Bench) *bench {
	t.Helper()
	b := &bench{Bench: shared, t: t, config: broker.Config{
		URL: shared.BrokerURL, Username: shared.BrokerUsername, Password: config.NewSecret(shared.BrokerPassword),
	}}
	b.raw = b.dial()
	require.NoError(t, topology.Declare(b.channel()))
	return b
}

// dial connects past the code under test.
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

// part is a running Publisher or Consumer.
type part struct {
	t      testing.TB
	drain  func()
	cancel func()
	done   chan error
}

type runner interface {
	Run(ctx context.Context, ready func(), drain <-chan struct{}) error
	Check(ctx context.Context) error
}

func (b *bench) run(r runner) *part {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	drain := make(chan struct{})
	p := &part{t: b.t, drain: sync.OnceFunc(func() { close(drain) }), cancel: cancel, done: make(chan error, 1)}
	ready := make(chan struct{})
	go func() { p.done <- r.Run(ctx, func() { close(ready) }, drain) }()
	<-ready
	b.t.Cleanup(func() {
		p.cancel()
		p.stopped()
	})
	return p
}

// stopped waits for the part's end.
func (p *part) stopped() {
	p.t.Helper()
	select {
	case err := <-p.done:
		require.NoError(p.t, err)
		p.done <- nil // for the cleanup
	case <-time.After(patience):
		require.FailNow(p.t, "the part did not stop")
	}
}

func (b *bench) publisher(config broker.Config, change func(*broker.PublisherOptions)) (*broker.Publisher, *part) {
	b.t.Helper()
	options := broker.PublisherOptions{Name: "test", Wait: patience, ConfirmTimeout: patience, Log: zaptest.NewLogger(b.t)}
	if change != nil {
		change(&options)
	}
	p, err := broker.NewPublisher(config, options)
	require.NoError(b.t, err)
	return p, b.run(p)
}

func (b *bench) consumer(config broker.Config, queue string, work broker.Work, change func(*broker.ConsumerOptions)) (*broker.Consumer, *part) {
	b.t.Helper()
	options := broker.ConsumerOptions{Name: "test", Log: zaptest.NewLogger(b.t)}
	if change != nil {
		change(&options)
	}
	c, err := broker.NewConsumer(config, queue, work, options)
	require.NoError(b.t, err)
	return c, b.run(c)
}

// connected waits until a part is of use: the one thing that it announces to nobody.
func (b *bench) connected(r runner) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return r.Check(b.t.Context()) == nil }, patience, 10*time.Millisecond)
}

// requested and started are messages: one for two queues, one for the status queue alone.
func requested(job string) broker.Message {
	return broker.Message{JobID: job, Body: &conversionv1.ConvertRequested{
		JobId: job, RequestedAt: timestamppb.Now(), Tag: "a label",
		Source: &conversionv1.Source{ObjectKey: job, Filename: "deck.pptx", Format: "pptx", Size: 1, Sha256: make([]byte, 32)},
		Target: &conversionv1.Target{Format: "pdf"},
	}}
}

func started(job string) broker.Message {
	return broker.Message{JobID: job, Body: &conversionv1.ConversionStarted{JobId: job, Attempt: 1, StartedAt: timestamppb.Now()}}
}

func (b *bench) publish(p *broker.Publisher, messages ...broker.Message) {
	b.t.Helper()
	for _, m := range messages {
		require.NoError(b.t, p.Publish(b.t.Context(), m))
	}
}

// take takes everything out of a queue, past the code under test.
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

// becomes waits until so many messages wait in a queue: the broker tells nobody.
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
		require.FailNow(t, "nothing came")
		panic(io.EOF)
	}
}
