package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/docmill/docmill/contract/fleet"
	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/rabbitmq"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

func TestBrokerDown(t *testing.T) {
	t.Parallel()
	g := setup(t, func(c *choices) {
		c.brokerURL, c.unconnected, c.publishTimeout = "amqp://127.0.0.1:1/", true, 200*time.Millisecond
	})
	answer := g.raw(t, deck, sample(t, deck))
	answer.problem(t, problem.QueueUnavailable)
	require.Equal(t, "5", answer.Header.Get("Retry-After"))
	g.requireNothingStored(t)
}

// TestNoDocumentIsReceivedForAQueueThatRejectsIt: the server never asks the client for the document.
func TestNoDocumentIsReceivedForAQueueThatRejectsIt(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	link := testbench.Proxy(t, bench.BrokerURL)
	g := setup(t, func(c *choices) { c.bench, c.brokerURL = bench, link.Through(bench.BrokerURL) })

	g.limitCommands(t, 1)
	require.Eventually(t, func() bool {
		return g.raw(t, deck, sample(t, deck)).StatusCode == http.StatusServiceUnavailable
	}, patience, time.Millisecond)
	answer := g.expectContinue(t)
	answer.problem(t, problem.QueueUnavailable)
	require.Contains(t, []string{"1", "2", "3", "4", "5"}, answer.Header.Get("Retry-After"))
	g.limitCommands(t, 1000)
	require.Eventually(t, func() bool { // a rejection is remembered for 5 s
		return g.raw(t, deck, sample(t, deck)).StatusCode == http.StatusAccepted
	}, patience, 50*time.Millisecond)

	link.Cut()
	require.Eventually(t, func() bool { // it is noticed after a second or two, if it does not pass
		return g.expectContinue(t).StatusCode == http.StatusServiceUnavailable
	}, patience, 50*time.Millisecond)
	link.Restore()
	require.Eventually(t, func() bool { return g.publisher.Check(context.Background()) == nil }, patience, 5*time.Millisecond)
	g.raw(t, deck, sample(t, deck)).job(t, http.StatusAccepted)
}

// announce announces a converter with that pace.
func (g *gateway) announce(t testing.TB, slots int32, seconds float64) {
	t.Helper()
	g.learn(t, &conversionv1.ConverterAnnounced{
		ConverterId: "test", ValidFor: durationpb.New(time.Minute), Slots: slots, ConversionSeconds: seconds,
		Capabilities: []*conversionv1.Capability{{SourceFormat: "pptx", TargetFormats: []string{"pdf"}}},
	})
}

// learn delivers an announcement to the gateway.
func (g *gateway) learn(t testing.TB, announcement *conversionv1.ConverterAnnounced) {
	t.Helper()
	handler, ok := g.converters.Handler().(message.Each)
	require.True(t, ok)
	envelope, err := message.Encode(t.Context(), message.Message{Body: announcement}, "test")
	require.NoError(t, err)
	require.Equal(t, message.Ack, handler.Handle(t.Context(), &message.Delivery{Envelope: envelope}))
}

// TestOnlyOptionsThatAConverterKnowsAreOffered has a converter that does not know all options and values of this release.
func TestOnlyOptionsThatAConverterKnowsAreOffered(t *testing.T) {
	t.Parallel()
	g := setup(t)
	g.converters.Single = true
	g.learn(t, &conversionv1.ConverterAnnounced{
		ConverterId: "test", ValidFor: durationpb.New(time.Minute), ContractVersion: fleet.LeavesToOthers,
		Capabilities: []*conversionv1.Capability{{SourceFormat: "pptx", TargetFormats: []string{"pdf"}}},
		Options:      []*conversionv1.KnownOption{{Name: "pages"}, {Name: "pdf_a", Values: []string{"1b"}}},
	})
	var formats jobapi.Formats
	require.NoError(t, json.Unmarshal(g.get(t, "/v1/formats", nil).body, &formats))
	var names []string
	for _, o := range formats.Options {
		names = append(names, string(o.Name))
	}
	require.Equal(t, []string{"to", "tag", "expires_in", "pages", "pdf_a"}, names)
	require.Equal(t, []string{"1b"}, formats.Options[4].Allowed)

	content := sample(t, deck)
	g.form(t, deck, bytes.NewReader(content), "pages", "1", "pdf_a", "1b").job(t, http.StatusAccepted)
	refused := g.form(t, deck, bytes.NewReader(content), "pdf_a", "2b", "dpi", "90").problem(t, problem.OptionInvalid)
	require.Len(t, refused.Errors, 2)
}

// TestQueueIsBoundedByTime: jobs that would wait for longer than the limit, here an hour, are not accepted.
func TestQueueIsBoundedByTime(t *testing.T) {
	t.Parallel()
	g := setup(t)
	for range 3 {
		g.raw(t, deck, sample(t, deck)).job(t, http.StatusAccepted)
	}
	g.announce(t, 2, 2390) // 3 jobs take 3,585 s
	require.Eventually(t, func() bool { return g.gauge(t, "docmill_gateway_queue_depth") == 3 }, patience, 20*time.Millisecond)
	require.InDelta(t, 3585, g.gauge(t, "docmill_gateway_queue_wait_seconds"), 1)
	require.Zero(t, g.expectContinue(t).StatusCode, "the server asks for the document")

	g.announce(t, 2, 2440) // 3,660 s
	answer := g.expectContinue(t)
	answer.problem(t, problem.QueueUnavailable)
	require.Equal(t, "60", answer.Header.Get("Retry-After"), "then the wait is an hour")
	g.announce(t, 1, 1e9)
	answer = g.expectContinue(t)
	answer.problem(t, problem.QueueUnavailable)
	require.Equal(t, "300", answer.Header.Get("Retry-After"))

	g.takeCommands(t, 3)
	require.Eventually(t, func() bool { return g.expectContinue(t).StatusCode == 0 }, patience, 50*time.Millisecond, "the queue is empty")
}

// TestGatewayStopsBeforeTheQueueIsFull: its own limit is lower than that of the queue.
func TestGatewayStopsBeforeTheQueueIsFull(t *testing.T) {
	t.Parallel()
	g := setup(t, func(c *choices) { c.maxCommands = 2 })
	var refused reply
	require.Eventually(t, func() bool {
		refused = g.raw(t, deck, sample(t, deck))
		return refused.StatusCode != http.StatusAccepted
	}, patience, 200*time.Millisecond)
	refused.problem(t, problem.QueueUnavailable)
	require.Equal(t, "5", refused.Header.Get("Retry-After"), "the rate of the converters is not known")
}

// gauge returns the value of a metric.
func (g *gateway) gauge(t testing.TB, name string) float64 {
	t.Helper()
	families, err := g.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	require.Fail(t, "no such metric", name)
	return 0
}

// takeCommands takes n commands out of their queue.
func (g *gateway) takeCommands(t testing.TB, n int) {
	t.Helper()
	channel := g.channel(t)
	for range n {
		_, waiting, err := channel.Get(rabbitmq.QueueCommands, true)
		require.NoError(t, err)
		require.True(t, waiting)
	}
}

// errAsked means that the server asked for the document.
var errAsked = errors.New("the server asked for the document")

// expectContinue begins a submission with Expect: 100-continue. It returns the zero reply if the server asks for the document.
func (g *gateway) expectContinue(t testing.TB) reply {
	t.Helper()
	body := io.NopCloser(readerFunc(func([]byte) (int, error) { return 0, errAsked }))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/v1/jobs", body)
	require.NoError(t, err)
	r.ContentLength = 1 << 20
	r.Header.Set("Content-Disposition", "attachment; filename=a.txt")
	r.Header.Set("Expect", "100-continue")
	transport := &http.Transport{ExpectContinueTimeout: patience}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(r)
	if errors.Is(err, errAsked) {
		return reply{Response: &http.Response{}}
	}
	require.NoError(t, err)
	return readReply(t, response)
}

func TestBrokerComesBack(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	link := testbench.Proxy(t, bench.BrokerURL)
	g := setup(t, func(c *choices) { c.bench, c.brokerURL = bench, link.Through(bench.BrokerURL) })
	link.Cut()
	require.Eventually(t, func() bool { return g.publisher.Check(context.Background()) != nil }, patience, 5*time.Millisecond)
	link.Restore()
	// Not waited for: a submission waits for the connection itself.
	g.raw(t, deck, sample(t, deck)).job(t, http.StatusAccepted)
	g.queued(t)
}

func TestUnconfirmedPublicationKeepsTheDocument(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	link := testbench.Proxy(t, bench.BrokerURL)
	g := setup(t, func(c *choices) {
		c.bench, c.brokerURL, c.publishTimeout = bench, link.Through(bench.BrokerURL), 3*time.Second
	})
	link.Delay(time.Hour) // the message gets through, the confirm does not
	answer := g.raw(t, deck, sample(t, deck))
	unconfirmed := answer.problem(t, problem.QueueUnconfirmed)
	require.Equal(t, "5", answer.Header.Get("Retry-After"))
	require.Len(t, g.stored(t), 1)
	message, _ := g.queued(t)
	require.Equal(t, message.GetJobId(), unconfirmed.Job, "the client can look for the job")
	require.Equal(t, "/v1/jobs/"+message.GetJobId(), answer.Header.Get("Location"))
	require.Equal(t, g.stored(t)[0], message.GetSource().GetObjectKey())
	link.Cut()
}

// limitCommands sets the number of waiting commands beyond which the broker rejects more.
func (g *gateway) limitCommands(t testing.TB, n int) {
	t.Helper()
	management, err := rabbithole.NewClient(g.bench.ManagementURL, g.bench.BrokerUsername, g.bench.BrokerPassword)
	require.NoError(t, err)
	response, err := management.PutPolicy(g.bench.Vhost, "full", rabbithole.Policy{
		Pattern: "^" + rabbitmq.QueueCommands + "$", ApplyTo: "queues", Definition: rabbithole.PolicyDefinition{"max-length": n},
	})
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
}

// TestQueueFull: nothing remains of a submission that a full queue rejects, although the other queue has taken it.
func TestQueueFull(t *testing.T) {
	t.Parallel()
	g := setup(t)
	g.limitCommands(t, 1)
	accepted := map[string]bool{}
	// The limit takes hold a moment after the policy is set, and a quorum queue takes a few more than that.
	require.Eventually(t, func() bool {
		answer := g.raw(t, deck, sample(t, deck))
		if answer.StatusCode == http.StatusAccepted {
			accepted[answer.job(t, http.StatusAccepted).ID] = true
			return false
		}
		answer.problem(t, problem.QueueUnavailable)
		return true
	}, patience, time.Millisecond)
	require.Len(t, g.stored(t), len(accepted), "a refused document is removed")

	channel, submitted, withdrawn := g.channel(t), map[string]string{}, ""
	for withdrawn == "" {
		switch event := nextEvent(t, channel).(type) {
		case *conversionv1.ConvertRequested:
			submitted[event.GetJobId()] = event.GetSubmissionId()
		case *conversionv1.SubmissionWithdrawn:
			withdrawn = event.GetJobId()
			require.Equal(t, submitted[withdrawn], event.GetSubmissionId())
		}
	}
	require.False(t, accepted[withdrawn])
	require.Len(t, submitted, len(accepted)+1, "the queue of the events has taken the submission")
	require.NotEmpty(t, submitted[withdrawn])
}

// nextEvent waits for the next message of the queue of the events and takes it.
func nextEvent(t testing.TB, channel *amqp.Channel) proto.Message {
	t.Helper()
	var event proto.Message
	require.Eventually(t, func() bool {
		delivery, waiting, err := channel.Get(rabbitmq.QueueEvents, true)
		require.NoError(t, err)
		if !waiting {
			return false
		}
		d := message.Delivery{Envelope: message.Envelope{Type: delivery.Type, ContentType: delivery.ContentType, Body: delivery.Body}}
		event, err = d.Message()
		require.NoError(t, err)
		return true
	}, patience, 20*time.Millisecond)
	return event
}

func TestUnroutable(t *testing.T) {
	t.Parallel()
	g := setup(t)
	channel := g.channel(t)
	for _, queue := range []string{rabbitmq.QueueCommands, rabbitmq.QueueEvents} {
		_, err := channel.QueueDelete(queue, false, false, false)
		require.NoError(t, err)
	}
	g.raw(t, deck, sample(t, deck)).problem(t, problem.QueueUnavailable)
	g.requireNothingStored(t)
}

func TestBrokerBlocked(t *testing.T) {
	t.Parallel()
	bench := testbench.NewPrivate(t) // an alarm is the whole broker's
	g := setup(t, func(c *choices) { c.bench, c.publishTimeout = bench, 400*time.Millisecond })
	require.NoError(t, bench.Servers.RabbitMQ.Control(t.Context(), "set_vm_memory_high_watermark", "0"))
	// The broker reports the alarm when a connection first publishes, so the first message is not yet refused.
	require.Eventually(t, func() bool {
		g.raw(t, deck, sample(t, deck))
		return g.publisher.Check(context.Background()) != nil
	}, patience, 10*time.Millisecond)
	require.ErrorIs(t, g.publisher.Check(context.Background()), message.ErrBlocked)
	before := len(g.stored(t))
	g.raw(t, deck, sample(t, deck)).problem(t, problem.QueueUnavailable)
	require.Len(t, g.stored(t), before)
}

func TestStoreDown(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	link := testbench.Proxy(t, bench.StoreEndpoint)
	g := setup(t, func(c *choices) { c.bench, c.storeEndpoint = bench, link.Through(bench.StoreEndpoint) })
	link.Cut()
	answer := g.raw(t, deck, sample(t, deck))
	answer.problem(t, problem.StoreUnavailable)
	require.Equal(t, "5", answer.Header.Get("Retry-After"))
	g.form(t, "a.txt", textOf(12<<20)).problem(t, problem.StoreUnavailable)
	link.Restore()
	g.raw(t, deck, sample(t, deck)).job(t, http.StatusAccepted)
	require.Len(t, g.stored(t), 1)
}

func TestStoreFailsInTheMiddle(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	link := testbench.Proxy(t, bench.StoreEndpoint)
	g := setup(t, func(c *choices) { c.bench, c.storeEndpoint = bench, link.Through(bench.StoreEndpoint) })
	link.CutAfter(2 << 20)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/v1/jobs", textOf(20<<20))
	require.NoError(t, err)
	r.ContentLength = 20 << 20
	r.Header.Set("Content-Disposition", "attachment; filename=a.txt")
	g.do(t, r).problem(t, problem.StoreUnavailable)
	link.Heal()
	g.requireNothingStored(t)
	g.requireNothingQueued(t)
}
