package httpapi_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/detect"
	"github.com/docmill/docmill/contract/fleet"
	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/rabbitmq"
	"github.com/docmill/docmill/platform/s3"
	"github.com/docmill/docmill/platform/seal"
	"github.com/docmill/docmill/platform/tracing"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/gateway/internal/backlog"
	"github.com/docmill/docmill/services/gateway/internal/download"
	"github.com/docmill/docmill/services/gateway/internal/httpapi"
	"github.com/docmill/docmill/services/gateway/internal/idempotency"
	"github.com/docmill/docmill/services/gateway/internal/live"
	"github.com/docmill/docmill/services/gateway/internal/page"
	"github.com/docmill/docmill/services/gateway/internal/reference"
	"github.com/docmill/docmill/services/gateway/internal/resultcache"
	"github.com/docmill/docmill/services/gateway/internal/statusclient"
	"github.com/docmill/docmill/services/gateway/internal/submit"
	"github.com/docmill/docmill/services/gateway/internal/upload"
	"github.com/docmill/docmill/services/gateway/internal/withdrawal"
)

func TestMain(m *testing.M) {
	_, err := tracing.Start(context.Background(), tracing.Config{}, "test", zap.NewNop())
	if err != nil {
		panic(err)
	}
	testbench.Main(m)
}

// gateway is the API on real servers, with a stand-in for the status service.
type gateway struct {
	box       *seal.Box
	url       string
	bench     *testbench.Bench
	objects   *minio.Client
	store     *s3.Store
	publisher message.Publisher
	registry  *prometheus.Registry
	status    *standIn
	// converters are the converters that a test announces.
	converters fleet.Fleet
	tap        *tap
	server     *httptest.Server
}

// choices are the differences that a test needs.
type choices struct {
	settings       httpapi.Settings
	publishTimeout time.Duration
	grace          time.Duration
	maxCommands    int
	downloadStall  time.Duration
	brokerURL      string
	storeEndpoint  string
	statusURL      string
	// statusInProcess calls status without a network.
	statusInProcess bool
	bench           *testbench.Bench
	unconnected     bool
	cache           bool
	untapped        bool
	log             *zap.Logger
}

const patience = 20 * time.Second

func setup(t testing.TB, changes ...func(*choices)) *gateway {
	t.Helper()
	c := choices{
		settings: httpapi.Settings{
			Upload: upload.Limits{MaxSize: 64 << 20, Idle: patience, MinRate: 8 << 10, Secrets: true}, MaxUploads: 8, MaxOpenUploads: 1000, SlotWait: patience, RecordWait: 2 * time.Second,
		},
		publishTimeout: 10 * time.Second, grace: 15 * time.Second, maxCommands: 1000, downloadStall: patience,
	}
	for _, change := range changes {
		change(&c)
	}
	if c.bench == nil {
		c.bench = testbench.New(t)
	}
	if c.log == nil {
		c.log = zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel))
	}
	box, err := seal.New(seal.Config{Keys: config.NewSecret(base64.StdEncoding.EncodeToString(make([]byte, 32)))})
	require.NoError(t, err)
	g := &gateway{bench: c.bench, registry: prometheus.NewRegistry(), status: newStandIn(t), box: box}
	g.objects = objects(t, c.bench)
	c.storeEndpoint = or(c.storeEndpoint, c.bench.StoreEndpoint)
	g.tap = newTap(t, c.bench, c.storeEndpoint)
	if !c.untapped {
		c.storeEndpoint = g.tap.server.URL
	}
	g.store = store(t, c)
	g.publisher = publisher(t, c)
	var transport http.RoundTripper
	if c.statusInProcess {
		transport = httpserver.InProcess(g.status)
	}
	status, err := statusclient.New(statusclient.Config{URL: or(c.statusURL, g.status.server.URL)}, transport)
	require.NoError(t, err)
	web, err := page.Render()
	require.NoError(t, err)
	engine := httpserver.NewEngine("test", c.log, g.registry)
	limits := backlog.Limits{Commands: c.maxCommands, Wait: time.Hour}
	waiting := backlog.New(g.publisher, limits, g.converters.Rate, c.log, g.registry)
	g.run(t, waiting.Run)
	var results *resultcache.Cache
	if c.cache {
		results = resultcache.New(status, &g.converters, c.log, g.registry)
	}
	httpapi.Register(engine, c.settings, httpapi.Deps{
		Submitter: &submit.Submitter{
			Cache:   results,
			Sources: g.store.Bucket(c.bench.SourcesBucket), Publisher: g.publisher, PublishTimeout: c.publishTimeout, Seal: box, Log: c.log,
			Names: idempotency.NewNames(g.store.Bucket(c.bench.SourcesBucket)), Lookups: submit.NewLookups(), Jobs: status, Grace: c.grace,
			Detector: detect.NewDetector(), JobDeadline: time.Hour, Withdrawals: withdrawal.New(g.publisher, c.log, g.registry), Backlog: waiting,
		},
		Status: status, Streams: live.New(status, 10, c.log, g.registry), Sender: &download.Sender{Results: g.store.Bucket(c.bench.ResultsBucket), Stall: c.downloadStall}, Converters: &g.converters, Backlog: waiting, Metrics: g.registry,
		Reference: reference.Page{HTML: []byte("<!doctype html>"), Policy: "default-src 'none'"}, Page: web,
	})
	g.server = httptest.NewServer(engine)
	t.Cleanup(g.server.Close)
	g.url = g.server.URL
	return g
}

// run runs a component until the test ends.
func (g *gateway) run(t testing.TB, component func(ctx context.Context, ready func(), drain <-chan struct{}) error) {
	t.Helper()
	drain, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- component(context.Background(), func() {}, drain) }()
	t.Cleanup(func() {
		close(drain)
		require.NoError(t, <-ended)
	})
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func objects(t testing.TB, b *testbench.Bench) *minio.Client {
	t.Helper()
	client, err := minio.New(strings.TrimPrefix(b.StoreEndpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(b.StoreAccessKey, b.StoreSecretKey, ""), Region: b.StoreRegion,
	})
	require.NoError(t, err)
	return client
}

func store(t testing.TB, c choices) *s3.Store {
	t.Helper()
	s, err := s3.New(s3.Config{
		Endpoint: c.storeEndpoint, Region: c.bench.StoreRegion,
		AccessKey: c.bench.StoreAccessKey, SecretKey: config.NewSecret(c.bench.StoreSecretKey),
	})
	require.NoError(t, err)
	return s
}

// publisher runs a publisher and, unless the test wants none, waits for its connection.
func publisher(t testing.TB, c choices) message.Publisher {
	t.Helper()
	messages, err := rabbitmq.New(rabbitmq.Config{
		URL: or(c.brokerURL, c.bench.BrokerURL), Username: c.bench.BrokerUsername, Password: config.NewSecret(c.bench.BrokerPassword),
	}, "test", c.log, nil)
	require.NoError(t, err)
	p, err := messages.NewPublisher(message.PublisherOptions{Wait: c.publishTimeout / 2, ConfirmTimeout: c.publishTimeout})
	require.NoError(t, err)
	drain, ended := make(chan struct{}), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- p.Run(ctx, func() {}, drain) }()
	t.Cleanup(func() {
		close(drain)
		abandon := time.AfterFunc(2*time.Second, cancel) // a test may leave a message that is never confirmed
		defer abandon.Stop()
		require.NoError(t, <-ended)
		cancel()
	})
	if !c.unconnected {
		require.Eventually(t, func() bool { return p.Check(context.Background()) == nil }, patience, 5*time.Millisecond)
	}
	return p
}

// standIn is a substitute for status. It has no jobs until a test sets its handler.
type standIn struct {
	server  *httptest.Server
	handler atomic.Pointer[http.Handler]
}

func newStandIn(t testing.TB) *standIn {
	t.Helper()
	s := &standIn{}
	s.handle(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, problem.New(problem.JobNotFound, "The job is not recorded."))
	})
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

// ServeHTTP implements http.Handler.
func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*s.handler.Load()).ServeHTTP(w, r)
}

func (s *standIn) handle(handler http.HandlerFunc) {
	h := http.Handler(handler)
	s.handler.Store(&h)
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// stored lists what is in the bucket of sources, and incomplete lists uploads in parts that were neither ended nor
// aborted.
func (g *gateway) stored(t testing.TB) []string {
	t.Helper()
	keys := []string{}
	for object := range g.objects.ListObjects(context.Background(), g.bench.SourcesBucket, minio.ListObjectsOptions{Recursive: true}) {
		require.NoError(t, object.Err)
		keys = append(keys, object.Key)
	}
	return keys
}

// tap passes requests on to the store and remembers the keys of uploads in parts: MinIO lists those that were neither
// ended nor aborted by their exact key only.
type tap struct {
	server *httptest.Server
	mutex  sync.Mutex
	keys   []string
	hook   atomic.Pointer[func(r *http.Request)]
	lose   atomic.Pointer[func(r *http.Request) bool]
}

// losing has the answers to some requests lost after the store has carried them out.
func (s *tap) losing(lost func(r *http.Request) bool) { s.lose.Store(&lost) }

var errLost = errors.New("the answer is lost")

// before has hook called before a request is passed on.
func (s *tap) before(hook func(r *http.Request)) { s.hook.Store(&hook) }

func newTap(t testing.TB, b *testbench.Bench, endpoint string) *tap {
	t.Helper()
	upstream, err := url.Parse(endpoint)
	require.NoError(t, err)
	s := &tap{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(upstream)
		r.Out.Host = r.In.Host // it is signed
	}, ErrorLog: log.New(io.Discard, "", 0), ModifyResponse: func(response *http.Response) error {
		if lost := s.lose.Load(); lost != nil && (*lost)(response.Request) {
			return errLost
		}
		return nil
	}}
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Query().Has("uploads") {
			s.mutex.Lock()
			s.keys = append(s.keys, strings.TrimPrefix(r.URL.Path, "/"+b.SourcesBucket+"/"))
			s.mutex.Unlock()
		}
		if hook := s.hook.Load(); hook != nil {
			(*hook)(r)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.server.Close)
	return s
}

// begun lists the keys of the uploads in parts that were ever begun.
func (s *tap) begun() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.keys)
}

// incomplete lists uploads in parts that were neither ended nor aborted.
func (g *gateway) incomplete(t testing.TB) []string {
	t.Helper()
	keys := []string{}
	for _, key := range g.tap.begun() {
		for upload := range g.objects.ListIncompleteUploads(context.Background(), g.bench.SourcesBucket, key, true) {
			require.NoError(t, upload.Err)
			keys = append(keys, upload.Key)
		}
	}
	return keys
}

// requireNothingStored holds once the handler has returned, which a client that has disconnected cannot see, so it
// waits.
func (g *gateway) requireNothingStored(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool { return len(g.stored(t)) == 0 && len(g.incomplete(t)) == 0 }, patience, 20*time.Millisecond)
}

// queued takes the one message that waits in the work queue.
func (g *gateway) queued(t testing.TB) (*conversionv1.ConvertRequested, amqp.Delivery) {
	t.Helper()
	channel := g.channel(t)
	delivery, waiting, err := channel.Get(rabbitmq.QueueCommands, true)
	require.NoError(t, err)
	require.True(t, waiting, "a job waits in the queue")
	message := &conversionv1.ConvertRequested{}
	require.NoError(t, proto.Unmarshal(delivery.Body, message))
	_, more, err := channel.Get(rabbitmq.QueueCommands, true)
	require.NoError(t, err)
	require.False(t, more, "one publication a job")
	return message, delivery
}

func (g *gateway) requireNothingQueued(t testing.TB) {
	t.Helper()
	_, waiting, err := g.channel(t).Get(rabbitmq.QueueCommands, true)
	require.NoError(t, err)
	require.False(t, waiting)
}

func (g *gateway) channel(t testing.TB) *amqp.Channel {
	t.Helper()
	parsed, err := url.Parse(g.bench.BrokerURL)
	require.NoError(t, err)
	parsed.User = url.UserPassword(g.bench.BrokerUsername, g.bench.BrokerPassword)
	connection, err := amqp.Dial(parsed.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	channel, err := connection.Channel()
	require.NoError(t, err)
	return channel
}

// reply is an answer that was read whole.
type reply struct {
	*http.Response
	body []byte
}

func (g *gateway) do(t testing.TB, r *http.Request) reply {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	return readReply(t, response)
}

func readReply(t testing.TB, response *http.Response) reply {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return reply{response, body}
}

func (g *gateway) get(t testing.TB, path string, header http.Header) reply {
	t.Helper()
	return g.request(t, http.MethodGet, path, header, nil)
}

func (g *gateway) request(t testing.TB, method, path string, header http.Header, body io.Reader) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, g.url+path, body)
	require.NoError(t, err)
	r.Header = header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	return g.do(t, r)
}

// raw submits a document as the body.
func (g *gateway) raw(t testing.TB, filename string, content []byte) reply {
	t.Helper()
	header := http.Header{"Content-Disposition": {`attachment; filename="` + filename + `"`}}
	return g.request(t, http.MethodPost, "/v1/jobs", header, bytes.NewReader(content))
}

// form submits a document as a form.
func (g *gateway) form(t testing.TB, filename string, content io.Reader, options ...string) reply {
	t.Helper()
	body, contentType := formBody(t, filename, content, options...)
	return g.request(t, http.MethodPost, "/v1/jobs", http.Header{"Content-Type": {contentType}}, body)
}

// formBody makes a form that is streamed: its length is not known.
func formBody(t testing.TB, filename string, content io.Reader, options ...string) (io.Reader, string) {
	t.Helper()
	reader, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	go func() {
		for i := 0; i+1 < len(options); i += 2 {
			_ = form.WriteField(options[i], options[i+1])
		}
		part, err := form.CreateFormFile("file", filename)
		if err == nil {
			_, err = io.Copy(part, content)
		}
		if err == nil {
			err = form.Close()
		}
		writer.CloseWithError(err)
	}()
	return reader, form.FormDataContentType()
}

func (r reply) job(t testing.TB, status int) jobapi.Job {
	t.Helper()
	require.Equal(t, status, r.StatusCode, string(r.body))
	var j jobapi.Job
	require.NoError(t, json.Unmarshal(r.body, &j))
	return j
}

func (r reply) problem(t testing.TB, code problem.Code) problem.Answer {
	t.Helper()
	var answer problem.Answer
	require.Equal(t, problem.ContentType, r.Header.Get("Content-Type"), string(r.body))
	require.NoError(t, json.Unmarshal(r.body, &answer))
	require.Equal(t, code, answer.Code, string(r.body))
	require.Equal(t, problem.Describe(code).Status, r.StatusCode)
	return answer
}

// sample reads one of the documents that all modules share.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "testdata", name))
	require.NoError(t, err)
	return content
}

const (
	deck     = "open-xml-sdk__AllSlidesConverterTC.pptx"
	deckType = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
)

func sha256Of(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
