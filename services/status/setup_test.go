package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/devstack/port"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/broker"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/health"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/platform/service"
	"github.com/docmill/docmill/platform/topology"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

func TestMain(m *testing.M) { testbench.Main(m) }

// patience is how long tests wait for what has to come: long, because a machine that runs all tests at once is slow.
const patience = 2 * time.Minute

// replica is one running process of the service, but for the process.
type replica struct {
	url, admin string
	// stop drains it within the time, and returns when it has stopped.
	stop func()
}

// start runs the whole service on the bench, as main does.
func start(t testing.TB, bench *testbench.Bench, drain time.Duration, more ...string) replica {
	t.Helper()
	return startLogging(t, bench, drain, zap.NewNop(), more...)
}

func startLogging(t testing.TB, bench *testbench.Bench, drain time.Duration, log *zap.Logger, more ...string) replica {
	t.Helper()
	ports, err := port.Free(2)
	require.NoError(t, err)
	var s settings
	environ := append(append(bench.BrokerEnv(), bench.DatabaseEnv()...), "DOCMILL_ADDRESS="+port.Address(ports[0]))
	source := config.Source{Args: more, Environ: environ, Stdout: io.Discard, Exit: func(int) {}}
	require.NoError(t, config.Parse(name, "", &s, source, config.Defaults{"admin_address": port.Address(ports[1])}))

	process := service.Process{Log: log, Metrics: metrics.NewRegistry()}
	assembly, err := s.assemble(process)
	require.NoError(t, err)
	admin := httpserver.Component("admin", s.Admin.Address, health.Handler(process.Metrics, assembly.Checks...), process.Log)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// Its error says that the drain was cut short, which some tests want.
		_ = host.Run(ctx, process.Log, host.Config{DrainTimeout: drain}, append([]host.Component{admin}, assembly.Components...)...)
	}()
	r := replica{url: "http://" + s.Address, admin: "http://" + s.Admin.Address, stop: func() { stop(); <-ended }}
	t.Cleanup(r.stop)
	require.Eventually(t, func() bool { return get(t, r.admin+"/healthz").StatusCode == http.StatusOK }, patience, 10*time.Millisecond)
	return r
}

// ready waits until the replica has all that it needs.
func (r replica) ready(t testing.TB) replica {
	t.Helper()
	require.Eventually(t, func() bool { return get(t, r.admin+"/readyz").StatusCode == http.StatusOK }, patience, 10*time.Millisecond)
	return r
}

type answer struct {
	StatusCode int
	Header     http.Header
	Body       []byte
}

// get gives the zero answer when there is none.
func get(t testing.TB, url string, header ...string) answer {
	t.Helper()
	return <-ask(t, url, header...)
}

// ask gets in the background.
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

// job reads a job; false when there is no such answer.
func (r replica) job(t testing.TB, id string, header ...string) (jobapi.Job, bool) {
	t.Helper()
	got := get(t, r.url+jobapi.Path(id), header...)
	var read jobapi.Job
	return read, got.StatusCode == http.StatusOK && json.Unmarshal(got.Body, &read) == nil
}

// ended follows a job to its end, as a client does.
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

// publisher is a connected publisher that ends with the test.
func publisher(t testing.TB, bench *testbench.Bench) *broker.Publisher {
	t.Helper()
	p, err := broker.NewPublisher(brokerConfig(bench), broker.PublisherOptions{Name: "test", Wait: patience, Log: zap.NewNop()})
	require.NoError(t, err)
	drain, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- p.Run(context.Background(), func() {}, drain) }()
	t.Cleanup(func() {
		close(drain)
		require.NoError(t, <-ended)
	})
	return p
}

func brokerConfig(bench *testbench.Bench) broker.Config {
	return broker.Config{URL: bench.BrokerURL, Username: bench.BrokerUsername, Password: config.NewSecret(bench.BrokerPassword)}
}

// channel is a bare connection to the broker, for what no publisher of Docmill would do.
func channel(t testing.TB, bench *testbench.Bench) *amqp.Channel {
	t.Helper()
	connection, err := amqp.DialConfig(bench.BrokerURL, amqp.Config{
		SASL: []amqp.Authentication{&amqp.PlainAuth{Username: bench.BrokerUsername, Password: bench.BrokerPassword}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	opened, err := connection.Channel()
	require.NoError(t, err)
	require.NoError(t, topology.Declare(opened))
	return opened
}

// send publishes, again and again until the broker has confirmed: a job that was never accepted is not lost. It gives up
// when the test ends.
func send(t testing.TB, p *broker.Publisher, messages ...proto.Message) {
	t.Helper()
	for _, m := range messages {
		for t.Context().Err() == nil {
			if p.Publish(t.Context(), broker.Message{Body: m, JobID: m.(interface{ GetJobId() string }).GetJobId()}) == nil {
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
			ObjectKey: id, Filename: "deck.pptx", Format: "pptx", ContentType: "application/x", Size: 3, Sha256: bytes.Repeat([]byte{7}, 32),
		},
		Target: &conversionv1.Target{Format: "pdf"},
	}
}

// life is what a converter says of a job that succeeds.
func life(id string) []proto.Message {
	began := timestamppb.Now()
	return []proto.Message{
		&conversionv1.ConversionStarted{JobId: id, Attempt: 1, StartedAt: began},
		&conversionv1.ConversionProgressed{JobId: id, Attempt: 1, Phase: conversionv1.Phase_PHASE_CONVERTING, Percent: 50, ProgressedAt: timestamppb.Now()},
		&conversionv1.ConversionSucceeded{
			JobId: id, Attempt: 1, StartedAt: began, FinishedAt: timestamppb.Now(),
			Result: &conversionv1.Result{
				ObjectKey: fmt.Sprintf("%s/1.pdf", id), ContentType: "application/pdf", Size: 9, Sha256: bytes.Repeat([]byte{8}, 32), Pages: 8,
			},
		},
	}
}
