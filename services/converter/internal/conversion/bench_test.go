package conversion_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/fleet"
	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/message/messagetest"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/processdir"
	"github.com/docmill/docmill/platform/rabbitmq"
	"github.com/docmill/docmill/platform/s3"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/conversion"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/fonts"
	"github.com/docmill/docmill/services/converter/internal/pace"
	"github.com/docmill/docmill/services/converter/internal/pdf"
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

	store *s3.Store
	// converter is the one that was started last.
	converter *conversion.Converter
	// The converter's own connections, which tests may route through links.
	converterStore  s3.Config
	converterBroker rabbitmq.Config
	publisherBroker rabbitmq.Config
	wrap            func(conversion.Publisher) conversion.Publisher

	workdir         *processdir.Dir
	space           func() error
	share           int64 // bytes
	ready           func(ctx context.Context) error
	transferTimeout time.Duration
	formats         []format.Format
	converters      fleet.Fleet
	deliveryTimeout time.Duration
	events          <-chan proto.Message
	stopping        chan struct{}
	resumedAt       time.Time
	pace            pace.Average
	// warnings receives what converters warn of, and handed the jobs of the deliveries that they get.
	warnings, handed chan string
	own              message.Publisher
	broker           message.Broker
}

func setup(t *testing.T) *bench {
	t.Helper()
	shared := testbench.New(t)
	b := &bench{
		Bench: shared, t: t,
		wrap:  func(p conversion.Publisher) conversion.Publisher { return p },
		share: 1 << 40, space: func() error { return nil }, ready: func(context.Context) error { return nil },
		formats:         slices.Collect(format.All()),
		transferTimeout: 10 * time.Minute, deliveryTimeout: conversion.DeliveryTimeout, stopping: make(chan struct{}),
		warnings: make(chan string, 1000), handed: make(chan string, 1000),
	}
	b.converterStore = s3.Config{
		Endpoint: shared.StoreEndpoint, Region: shared.StoreRegion,
		AccessKey: shared.StoreAccessKey, SecretKey: config.NewSecret(shared.StoreSecretKey),
	}
	direct := rabbitmq.Config{
		URL: shared.BrokerURL, Username: shared.BrokerUsername, Password: config.NewSecret(shared.BrokerPassword),
	}
	b.converterBroker, b.publisherBroker = direct, direct
	var err error
	b.store, err = s3.New(b.converterStore)
	require.NoError(t, err)
	b.workdir, err = processdir.Open(t.TempDir(), "converter")
	require.NoError(t, err)

	b.broker, err = rabbitmq.New(direct, "test", zaptest.NewLogger(t), nil)
	require.NoError(t, err)
	b.own = messagetest.Publisher(t, b.broker)
	b.listen()
	return b
}

// listen reads the events of jobs. It omits progress, which is optional.
func (b *bench) listen() {
	b.t.Helper()
	deliveries := messagetest.Receive(b.t, b.broker, message.Events)
	progressed := messagetest.Receive(b.t, b.broker, message.Progress)
	events := make(chan proto.Message, 100)
	b.events = events
	go func() {
		for {
			var d *message.Delivery
			select {
			case d = <-deliveries:
			case d = <-progressed:
			case <-b.t.Context().Done():
				return
			}
			event, err := d.Message()
			if err != nil {
				continue
			}
			progress, optional := event.(*conversionv1.ConversionProgressed)
			_, command := event.(*conversionv1.ConvertRequested)
			if !command && (!optional || progress.GetSubmissionId() != submissionID) {
				events <- event
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

// consumers are run together.
type consumers []message.Consumer

func (c consumers) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, consumer := range c {
		group.Go(func() error { return consumer.Run(ctx, func() {}, drain) })
	}
	ready()
	return group.Wait()
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
	log := zaptest.NewLogger(b.t, zaptest.WrapOptions(zap.Hooks(b.logged)))
	store, err := s3.New(b.converterStore)
	require.NoError(b.t, err)
	publishing, err := rabbitmq.New(b.publisherBroker, "test converter", log, nil)
	require.NoError(b.t, err)
	publisher, err := publishing.NewPublisher(message.PublisherOptions{})
	require.NoError(b.t, err)
	b.run(publisher)
	require.Eventually(b.t, func() bool { return publisher.Check(b.t.Context()) == nil }, patience, patience/1000)
	library, err := fonts.Open(b.t.TempDir(), nil, log)
	require.NoError(b.t, err)
	tools, err := pdf.FindTools()
	require.NoError(b.t, err)
	limits := engine.Limits{Timeout: patience, Memory: 1 << 30, Disk: 1 << 30}
	converter := conversion.New(conversion.Deps{
		Slots: 2, Engine: convert, Renderer: pdf.NewRenderer(tools, limits, pdf.ImageConfig{Pixels: 1 << 20}),
		Encrypter: pdf.NewEncrypter(tools, limits), Publisher: b.wrap(publisher), Workdir: b.workdir, Space: b.space, Ready: b.ready,
		Share:           func() int64 { return b.share },
		TransferTimeout: b.transferTimeout, DeliveryTimeout: b.deliveryTimeout, Publishable: publisher.Check, Stopping: b.stopping, ResumedAt: b.resumedAt,
		Formats: b.formats, Converters: &b.converters, Fonts: library, PDF: tools,
		Sources: store.Bucket(b.SourcesBucket), Results: store.Bucket(b.ResultsBucket),
		Pace: &b.pace, Metrics: conversion.NewMetrics(prometheus.NewRegistry()), Log: log,
	})
	b.converter = converter
	consuming, err := rabbitmq.New(b.converterBroker, "test converter", log, nil)
	require.NoError(b.t, err)
	var both consumers
	for _, queue := range []message.Queue{message.Commands, message.Returned} {
		handler := converter.Handler()
		handler.Handle = func(ctx context.Context, d *message.Delivery) message.Outcome {
			b.handed <- d.JobID
			return converter.Handle(ctx, d)
		}
		consumer, err := consuming.NewConsumer(queue, handler, message.ConsumerOptions{Ready: func(ctx context.Context) error {
			return errors.Join(b.space(), converter.Ready(ctx))
		}})
		require.NoError(b.t, err)
		both = append(both, consumer)
	}
	return b.run(both)
}

// frontend starts an HTTP proxy in front of the store, and returns its URL. It answers a request itself if instead does.
func (b *bench) frontend(instead func(w http.ResponseWriter) bool) string {
	b.t.Helper()
	upstream, err := url.Parse(b.StoreEndpoint)
	require.NoError(b.t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(upstream)
		r.Out.Host = r.In.Host // it is signed
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !instead(w) {
			proxy.ServeHTTP(w, r)
		}
	}))
	b.t.Cleanup(server.Close)
	return server.URL
}

// warned waits for a warning, and skips others.
func (b *bench) warned(message string) {
	b.t.Helper()
	for next(b.t, b.warnings) != message {
	}
}

func (b *bench) logged(entry zapcore.Entry) error {
	if entry.Level >= zap.WarnLevel {
		b.warnings <- entry.Message
	}
	return nil
}

// submit stores a document and requests its conversion, as the gateway does.
func (b *bench) submit(content []byte, change func(*conversionv1.ConvertRequested)) *conversionv1.ConvertRequested {
	b.t.Helper()
	command := b.command(content)
	b.storeSource(command, content)
	if change != nil {
		change(command)
	}
	b.publish(message.Message{Body: command, JobID: command.GetJobId()})
	return command
}

// resubmit is submit for a returned command.
func (b *bench) resubmit(content []byte) *conversionv1.ConvertRequested {
	b.t.Helper()
	command := b.command(content)
	b.storeSource(command, content)
	b.publish(message.Message{Body: command, JobID: command.GetJobId(), Attempt: 2, Returned: true})
	return command
}

func (b *bench) storeSource(command *conversionv1.ConvertRequested, content []byte) {
	b.t.Helper()
	sources := b.store.Bucket(b.SourcesBucket)
	require.NoError(b.t, sources.Put(b.t.Context(), command.GetJobId(), bytes.NewReader(content), int64(len(content)), blob.PutOptions{}))
}

// handedOver waits until a converter has the command.
func (b *bench) handedOver(command *conversionv1.ConvertRequested) {
	b.t.Helper()
	for next(b.t, b.handed) != command.GetJobId() {
	}
}

// disk makes the work directory full while the returned value is true.
func (b *bench) disk() *atomic.Bool {
	full := &atomic.Bool{}
	b.space = func() error {
		if full.Load() {
			return engine.ErrNoSpace
		}
		return nil
	}
	return full
}

// submitLast is submit for a job whose document has been suspected as often as is allowed, but for one more time.
func (b *bench) submitLast(content []byte) *conversionv1.ConvertRequested {
	b.t.Helper()
	return b.submit(content, func(command *conversionv1.ConvertRequested) { command.Retries, command.Suspicions = 7, 3 })
}

// submissionID is the one of every command, and so of every event.
const submissionID = "00000000-0000-4000-8000-000000000001"

func (b *bench) command(content []byte) *conversionv1.ConvertRequested {
	b.t.Helper()
	id, err := uuid.NewV7()
	require.NoError(b.t, err)
	sum := sha256.Sum256(content)
	return &conversionv1.ConvertRequested{
		JobId: id.String(), SubmissionId: submissionID, RequestedAt: timestamppb.Now(),
		Source: &conversionv1.Source{
			ObjectKey: id.String(), Filename: "deck.pptx", Format: "pptx", Size: int64(len(content)), Sha256: sum[:],
		},
		Target: &conversionv1.Target{Format: "pdf"},
	}
}

func (b *bench) publish(m message.Message) {
	b.t.Helper()
	require.NoError(b.t, b.own.Publish(b.t.Context(), m))
}

// expect waits for the next event and requires its type.
func expect[T proto.Message](b *bench) T {
	b.t.Helper()
	received := next(b.t, b.events)
	event, ok := received.(T)
	require.True(b.t, ok, "%T: %v", received, received)
	require.Equal(b.t, submissionID, received.(interface{ GetSubmissionId() string }).GetSubmissionId(), "%T", received)
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

// take waits for a message in a queue and removes it.
func (b *bench) take(queue message.Queue) *message.Delivery {
	b.t.Helper()
	return messagetest.Take(b.t, b.broker, queue)
}

// settled drains the consumer and checks that no command and no directory is left.
func (b *bench) settled(consumer running) {
	b.t.Helper()
	consumer.drain()
	require.NoError(b.t, next(b.t, consumer.done))
	const marker = "marker"
	for _, queue := range []message.Queue{message.Commands, message.Returned} {
		returned := queue == message.Returned
		b.publish(message.Message{Body: &conversionv1.ConvertRequested{JobId: marker}, JobID: marker, Returned: returned})
		require.Equal(b.t, marker, b.take(queue).JobID, "%s left", queue)
	}
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
