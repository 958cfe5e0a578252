package status_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/message/messagetest"
	"github.com/docmill/docmill/devstack/port"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/health"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/platform/rabbitmq"
	"github.com/docmill/docmill/platform/s3"
	"github.com/docmill/docmill/platform/service"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/postgres"
)

func TestMain(m *testing.M) { testbench.Main(m) }

// patience is how long tests wait for an expected event: long, because a machine that runs all tests at once is slow.
const patience = 2 * time.Minute

// settings are those of cmd/docmill-status.
type settings struct {
	service.Settings
	status.Config

	Broker   rabbitmq.Config `embed:"" prefix:"broker-"`
	Database postgres.Config `embed:"" prefix:"database-"`
	Store    s3.Config       `embed:"" prefix:"store-"`
}

// replica is one running instance of the service.
type replica struct {
	url, admin string
	// stop drains it and returns when it has stopped.
	stop func()
}

// counted reports whether a counter, which exists from the start, is above 0.
func (r replica) counted(t testing.TB, counter string) bool {
	t.Helper()
	return regexp.MustCompile(regexp.QuoteMeta(counter) + " [1-9]").Match(get(t, r.admin+"/metrics").Body)
}

// start runs the service on the bench's servers, with more flags.
func start(t testing.TB, bench *testbench.Bench, drain time.Duration, more ...string) replica {
	t.Helper()
	return startLogging(t, bench, drain, zap.NewNop(), more...)
}

func startLogging(t testing.TB, bench *testbench.Bench, drain time.Duration, log *zap.Logger, more ...string) replica {
	t.Helper()
	s := parse(t, bench, more...)
	jobs, err := postgres.Open(s.Database, log)
	require.NoError(t, err)
	return startOn(t, jobs, s, drain, log)
}

func parse(t testing.TB, bench *testbench.Bench, more ...string) settings {
	t.Helper()
	var s settings
	source := config.Source{
		Args: more, Environ: slices.Concat(bench.BrokerEnv(), bench.DatabaseEnv(), bench.StoreEnv()), Stdout: io.Discard, Exit: func(int) {},
	}
	require.NoError(t, config.Parse(status.Name, "", &s, source, config.Defaults{"admin_address": freeAddress(t), "drain_delay": "0s"}))
	return s
}

func freeAddress(t testing.TB) string {
	t.Helper()
	ports, err := port.Free(1)
	require.NoError(t, err)
	return port.Address(ports[0])
}

// startOn runs the service on a job store.
func startOn(t testing.TB, jobs jobstore.Store, s settings, drain time.Duration, log *zap.Logger) replica {
	t.Helper()
	registry := metrics.NewRegistry()
	if measured, ok := jobs.(*postgres.Store); ok {
		registry.MustRegister(measured.Collector())
	}
	store, err := s3.New(s.Store)
	require.NoError(t, err)
	return startWith(t, s.Config, status.Deps{
		Messages: rabbit(t, s.Broker, status.Name, log, registry), Jobs: jobs, Log: log,
		Sources: store.Bucket(s.Store.SourcesBucket), Results: store.Bucket(s.Store.ResultsBucket),
	}, registry, s.Admin.Address, drain)
}

// startWith runs the service.
func startWith(t testing.TB, config status.Config, deps status.Deps, registry *prometheus.Registry, adminAddress string, drain time.Duration) replica {
	t.Helper()
	deps.Metrics = registry
	assembly, err := status.New(config, deps)
	require.NoError(t, err)
	address, log := freeAddress(t), deps.Log
	components := slices.Concat(
		[]host.Component{httpserver.Component("admin", adminAddress, health.Handler(registry, assembly.Checks...), log)},
		assembly.Components,
		[]host.Component{httpserver.Component("http", address, assembly.Handler, log)},
	)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// Its error means that the drain was cut short, which some tests want.
		_ = host.Run(ctx, log, host.Config{DrainTimeout: drain}, components...)
	}()
	r := replica{url: "http://" + address, admin: "http://" + adminAddress, stop: func() { stop(); <-ended }}
	t.Cleanup(r.stop)
	require.Eventually(t, func() bool { return get(t, r.admin+"/healthz").StatusCode == http.StatusOK }, patience, poll)
	// The public address is opened last.
	require.Eventually(t, func() bool { return get(t, r.url).StatusCode != 0 }, patience, poll)
	return r
}

// poll is the interval of the tests' own polling.
const poll = 10 * time.Millisecond

// ready waits until the replica and all of its dependencies work.
func (r replica) ready(t testing.TB) replica {
	t.Helper()
	require.Eventually(t, func() bool {
		got := get(t, r.admin+"/readyz?verbose")
		return got.StatusCode == http.StatusOK && bytes.Count(got.Body, []byte(`"ok"`)) == 4
	}, patience, poll)
	return r
}

type answer struct {
	StatusCode int
	Header     http.Header
	Body       []byte
}

// get sends a request with the headers name, value, ... It returns the zero answer if there is no response.
func get(t testing.TB, url string, header ...string) answer {
	t.Helper()
	return <-ask(t, url, header...)
}

// ask is get in the background.
func ask(t testing.TB, url string, header ...string) <-chan answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	answers := make(chan answer, 1)
	go func() { answers <- do(request) }()
	return answers
}

func do(request *http.Request) answer {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}
	}
	return answer{response.StatusCode, response.Header, body}
}

// job reads a job. It returns false if the response has none.
func (r replica) job(t testing.TB, id string, header ...string) (jobapi.Job, bool) {
	t.Helper()
	got := get(t, r.url+jobapi.Path(id), header...)
	var read jobapi.Job
	return read, got.StatusCode == http.StatusOK && json.Unmarshal(got.Body, &read) == nil
}

// ended polls a job until it has ended, as a client does.
func (r replica) ended(t testing.TB, id string) jobapi.Job {
	t.Helper()
	var last jobapi.Job
	require.Eventually(t, func() bool {
		read, found := r.job(t, id, "Prefer", "wait=5")
		last = read
		return found && read.Status.Terminal()
	}, patience, 20*time.Millisecond, "job %s", id)
	return last
}

// publisher returns a publisher that is stopped at the end of the test.
func publisher(t testing.TB, bench *testbench.Bench) message.Publisher {
	t.Helper()
	return messagetest.Publisher(t, rabbit(t, brokerConfig(bench), "test", zap.NewNop(), nil))
}

func rabbit(
	t testing.TB, config rabbitmq.Config, name string, log *zap.Logger, registry prometheus.Registerer,
) message.Broker {
	t.Helper()
	broker, err := rabbitmq.New(config, name, log, registry)
	require.NoError(t, err)
	return broker
}

func brokerConfig(bench *testbench.Bench) rabbitmq.Config {
	return rabbitmq.Config{
		URL: bench.BrokerURL, Username: bench.BrokerUsername, Password: config.NewSecret(bench.BrokerPassword),
	}
}

// channel returns a channel to the broker, for what a publisher of Docmill cannot do.
func channel(t testing.TB, bench *testbench.Bench) *amqp.Channel {
	t.Helper()
	connection, err := amqp.DialConfig(bench.BrokerURL, amqp.Config{
		SASL: []amqp.Authentication{&amqp.PlainAuth{Username: bench.BrokerUsername, Password: bench.BrokerPassword}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	opened, err := connection.Channel()
	require.NoError(t, err)
	require.NoError(t, rabbitmq.Declare(opened))
	return opened
}

// send publishes messages, retrying until the broker has confirmed each, or the test ends: a job that was never
// accepted cannot be lost.
func send(t testing.TB, p message.Publisher, messages ...proto.Message) {
	t.Helper()
	for _, m := range messages {
		for t.Context().Err() == nil {
			if p.Publish(t.Context(), message.Message{Body: m, JobID: m.(interface{ GetJobId() string }).GetJobId()}) == nil {
				break
			}
		}
	}
}

func newID(t testing.TB) string {
	t.Helper()
	id, err := uuid.NewV7()
	require.NoError(t, err)
	return id.String()
}

func submitted(id string) *conversionv1.ConvertRequested {
	return &conversionv1.ConvertRequested{
		JobId: id, RequestedAt: timestamppb.Now(),
		Source: &conversionv1.Source{
			ObjectKey: id, Filename: "deck.pptx", Format: "pptx", ContentType: "application/x", Size: 3,
			Sha256: bytes.Repeat([]byte{7}, 32),
		},
		Target: &conversionv1.Target{Format: "pdf"},
	}
}

// life returns the messages of a converter about a job that succeeds.
func life(id string) []proto.Message {
	began := timestamppb.Now()
	return []proto.Message{
		&conversionv1.ConversionStarted{JobId: id, Attempt: 1, StartedAt: began},
		&conversionv1.ConversionProgressed{
			JobId: id, Attempt: 1, Phase: conversionv1.Phase_PHASE_CONVERTING, Percent: 50, ProgressedAt: timestamppb.Now(),
		},
		&conversionv1.ConversionSucceeded{
			JobId: id, Attempt: 1, StartedAt: began, FinishedAt: timestamppb.Now(),
			Result: &conversionv1.Result{
				ObjectKey: fmt.Sprintf("%s/1.pdf", id), ContentType: "application/pdf", Size: 9,
				Sha256: bytes.Repeat([]byte{8}, 32), Pages: 8,
			},
		},
	}
}
