package conversion_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/broker"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/s3"
	"github.com/docmill/docmill/platform/topology"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/conversion"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/fonts"
	"github.com/docmill/docmill/services/converter/internal/pdf"
	"github.com/docmill/docmill/services/converter/internal/workdir"
)

func TestMain(m *testing.M) { testbench.Main(m) }

// patience bounds what a test waits for. It is generous, because the machine may be busy.
const patience = 3 * time.Minute

// convertFunc is an engine that the test controls. LibreOffice has tests of its own.
type convertFunc func(ctx context.Context, request engine.Request) (engine.Output, error)

func (f convertFunc) Convert(ctx context.Context, request engine.Request) (engine.Output, error) {
	return f(ctx, request)
}

// copies is an engine that returns the document itself as the result.
func copies(_ context.Context, request engine.Request) (engine.Output, error) {
	return engine.Output{Path: request.Source, Pages: 3}, nil
}

// bench is a converter's environment, and a consumer of its events that the test reads one by one.
type bench struct {
	*testbench.Bench
	t testing.TB

	store  *s3.Store
	broker broker.Config
	// The converter's own connections, which tests may route through links.
	converterStore  s3.Config
	converterBroker broker.Config
	publisherBroker broker.Config
	wrap            func(conversion.Publisher) conversion.Publisher

	workdir *workdir.Dir
	events  <-chan proto.Message
	own     *broker.Publisher
	raw     *amqp.Connection
}

func setup(t *testing.T) *bench {
	t.Helper()
	shared := testbench.New(t)
	b := &bench{
		Bench: shared, t: t,
		broker: broker.Config{URL: shared.BrokerURL, Username: shared.BrokerUsername, Password: config.NewSecret(shared.BrokerPassword)},
		wrap:   func(p conversion.Publisher) conversion.Publisher { return p },
	}
	b.converterStore = s3.Config{
		Endpoint: shared.StoreEndpoint, Region: shared.StoreRegion,
		AccessKey: shared.StoreAccessKey, SecretKey: config.NewSecret(shared.StoreSecretKey),
	}
	b.converterBroker, b.publisherBroker = b.broker, b.broker
	var err error
	b.store, err = s3.New(b.converterStore)
	require.NoError(t, err)
	b.workdir, err = workdir.Open(t.TempDir())
	require.NoError(t, err)

	b.raw, err = amqp.DialConfig(b.BrokerURL, amqp.Config{
		SASL: []amqp.Authentication{&amqp.PlainAuth{Username: b.BrokerUsername, Password: b.BrokerPassword}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.raw.Close() })
	channel, err := b.raw.Channel()
	require.NoError(t, err)
	require.NoError(t, topology.Declare(channel))
	b.own, err = broker.NewPublisher(b.broker, broker.PublisherOptions{Name: "test", Wait: patience, Log: zaptest.NewLogger(t)})
	require.NoError(t, err)
	b.run(b.own)
	b.listen(channel)
	return b
}

// listen reads the events of jobs, without the code under test. It omits progress, which is optional.
func (b *bench) listen(channel *amqp.Channel) {
	b.t.Helper()
	deliveries, err := channel.Consume(topology.StatusEvents, "", true, false, false, false, nil)
	require.NoError(b.t, err)
	events := make(chan proto.Message, 100)
	b.events = events
	go func() {
		for d := range deliveries {
			kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(d.Type))
			if err != nil {
				continue
			}
			message := kind.New().Interface()
			if proto.Unmarshal(d.Body, message) != nil {
				continue
			}
			switch message.(type) {
			case *conversionv1.ConvertRequested, *conversionv1.ConversionProgressed:
			default:
				events <- message
			}
		}
	}()
}

type runner interface {
	Run(ctx context.Context, ready func(), drain <-chan struct{}) error
}

// running is a component that runs until the test ends, or earlier.
type running struct {
	drain, cancel func()
	done          <-chan error
}

func (b *bench) run(r runner) running {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	drain, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- r.Run(ctx, func() {}, drain)
		close(done)
	}()
	b.t.Cleanup(func() {
		cancel()
		<-done
	})
	return running{drain: sync.OnceFunc(func() { close(drain) }), cancel: cancel, done: done}
}

// start runs a converter with two slots.
func (b *bench) start(convert convertFunc) running {
	b.t.Helper()
	log := zaptest.NewLogger(b.t)
	store, err := s3.New(b.converterStore)
	require.NoError(b.t, err)
	publisher, err := broker.NewPublisher(b.publisherBroker, broker.PublisherOptions{Name: "test converter", Log: log})
	require.NoError(b.t, err)
	b.run(publisher)
	library, err := fonts.Open(b.t.TempDir(), log)
	require.NoError(b.t, err)
	tools, err := pdf.FindTools()
	require.NoError(b.t, err)
	limits := engine.Limits{Timeout: patience, Memory: 1 << 30, Disk: 1 << 30}
	converter := conversion.New(conversion.Deps{
		Engine: convert, Renderer: pdf.NewRenderer(tools, limits, pdf.ImageConfig{Pixels: 1 << 20}),
		Encrypter: pdf.NewEncrypter(tools, limits), Publisher: b.wrap(publisher), Workdir: b.workdir,
		Fonts: library, PDF: tools,
		Sources: store.Bucket(b.SourcesBucket), Results: store.Bucket(b.ResultsBucket),
		Metrics: conversion.NewMetrics(prometheus.NewRegistry()), Log: log,
	})
	consumer, err := broker.NewConsumer(b.converterBroker, topology.Convert, broker.Each(2, converter.Handle),
		broker.ConsumerOptions{Name: "test converter", Log: log})
	require.NoError(b.t, err)
	return b.run(consumer)
}

// submit stores a document and requests its conversion, as the gateway does.
func (b *bench) submit(content []byte, change func(*conversionv1.ConvertRequested)) *conversionv1.ConvertRequested {
	b.t.Helper()
	command := b.command(content)
	require.NoError(b.t, b.store.Bucket(b.SourcesBucket).Put(b.t.Context(), command.GetJobId(), bytes.NewReader(content), int64(len(content)), blob.PutOptions{}))
	if change != nil {
		change(command)
	}
	b.publish(broker.Message{Body: command, JobID: command.GetJobId()})
	return command
}

func (b *bench) command(content []byte) *conversionv1.ConvertRequested {
	b.t.Helper()
	id, err := uuid.NewV7()
	require.NoError(b.t, err)
	sum := sha256.Sum256(content)
	return &conversionv1.ConvertRequested{
		JobId: id.String(), RequestedAt: timestamppb.Now(),
		Source: &conversionv1.Source{
			ObjectKey: id.String(), Filename: "deck.pptx", Format: "pptx", Size: int64(len(content)), Sha256: sum[:],
		},
		Target: &conversionv1.Target{Format: "pdf"},
	}
}

func (b *bench) publish(message broker.Message) {
	b.t.Helper()
	require.NoError(b.t, b.own.Publish(b.t.Context(), message))
}

// expect waits for the next event and requires its type.
func expect[T proto.Message](b *bench) T {
	b.t.Helper()
	message := next(b.t, b.events)
	event, ok := message.(T)
	require.True(b.t, ok, "%T: %v", message, message)
	return event
}

func next[T any](t testing.TB, values <-chan T) T {
	t.Helper()
	select {
	case v := <-values:
		return v
	case <-time.After(patience):
		require.FailNow(t, "timeout")
		panic("unreachable")
	}
}

// take waits for a message in a queue and removes it, without the code under test.
func (b *bench) take(queue string) amqp.Delivery {
	b.t.Helper()
	channel, err := b.raw.Channel()
	require.NoError(b.t, err)
	defer channel.Close()
	var taken amqp.Delivery
	require.Eventually(b.t, func() bool { // the broker has no notification for it
		d, found, err := channel.Get(queue, true)
		taken = d
		return err == nil && found
	}, patience, 20*time.Millisecond, "nothing in %s", queue)
	return taken
}

// settled drains the consumer and checks that no command and no directory is left.
func (b *bench) settled(consumer running) {
	b.t.Helper()
	consumer.drain()
	require.NoError(b.t, next(b.t, consumer.done))
	channel, err := b.raw.Channel()
	require.NoError(b.t, err)
	defer channel.Close()
	queue, err := channel.QueueDeclarePassive(topology.Convert, true, false, false, false, nil)
	require.NoError(b.t, err)
	require.Zero(b.t, queue.Messages, "commands left")
	left, err := filepath.Glob(filepath.Join(b.workdir.Path(), "job-*"))
	require.NoError(b.t, err)
	require.Empty(b.t, left, "job directories left")
}

func (b *bench) object(bucket, key string) []byte {
	b.t.Helper()
	reader, err := b.store.Bucket(bucket).Get(b.t.Context(), key, 0, -1)
	require.NoError(b.t, err)
	defer reader.Close()
	content, err := io.ReadAll(reader)
	require.NoError(b.t, err)
	return content
}

var errEngine = errors.New("no space left on device")

// byHand is an engine that sends its calls and waits for what to return.
type byHand struct {
	calls  chan engine.Request
	answer chan error
}

func newByHand() byHand {
	return byHand{calls: make(chan engine.Request, 10), answer: make(chan error, 10)}
}

func (h byHand) convert(ctx context.Context, request engine.Request) (engine.Output, error) {
	h.calls <- request
	select {
	case err := <-h.answer:
		if err != nil {
			return engine.Output{}, err
		}
		return copies(ctx, request)
	case <-ctx.Done():
		return engine.Output{}, ctx.Err()
	}
}

// exists reports whether a path exists.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
