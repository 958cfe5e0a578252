package messagetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/docmill/docmill/contract/message"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

var publishCases = []testCase{
	{name: "a command reaches commands and events", run: testCommandReachesBothQueues},
	{name: "an event reaches events only", run: testEventReachesEventsOnly},
	{name: "a delivery carries the envelope", run: testEnvelope},
	{name: "published messages survive a restart", restarts: true, run: testPublishedSurvivesRestart},
	{name: "many publish at once", run: testConcurrentPublish},
	{name: "unpublishable messages are rejected", run: testUnpublishable},
	{name: "a canceled publish sends nothing", run: testCanceledPublish},
	{name: "a stopped publisher sends nothing", run: testStoppedPublisher},
	{name: "a full queue rejects", run: testFullQueue},
}

func testCommandReachesBothQueues(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, command("job-1"))
	inCommands := f.holdsOnly(p, message.Commands, "job-1")
	inEvents := f.holdsOnly(p, message.Events, "job-1")
	require.Equal(f, inCommands[0].ID, inEvents[0].ID, "both are the same message")
	require.Equal(f, inCommands[0].Body, inEvents[0].Body)
}

// testEventReachesEventsOnly publishes every message whose route leads to the queue Events alone.
func testEventReachesEventsOnly(f *fixture) {
	p, _ := f.publisher()
	var types, jobs []string
	for _, route := range message.Routes() {
		if !slices.Equal(route.Queues, []message.Queue{message.Events}) {
			continue
		}
		kind, err := protoregistry.GlobalTypes.FindMessageByName(route.Type)
		require.NoError(f, err)
		body := kind.New()
		if id := kind.Descriptor().Fields().ByName("job_id"); id != nil {
			body.Set(id, protoreflect.ValueOfString("job-1"))
		}
		f.publish(p, message.Message{JobID: "job-1", Body: body.Interface()})
		types, jobs = append(types, string(route.Type)), append(jobs, "job-1")
	}
	require.NotEmpty(f, types)
	f.holdsOnly(p, message.Commands)
	for i, delivery := range f.holdsOnly(p, message.Events, jobs...) {
		require.Equal(f, types[i], delivery.Type)
	}
}

func testEnvelope(f *fixture) {
	p, _ := f.publisher()
	span := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4, 5, 6}, TraceFlags: trace.FlagsSampled,
	})
	sent := command("job-1")
	sent.Attempt = 3
	began := time.Now()
	require.NoError(f, p.Publish(trace.ContextWithSpanContext(f.Context(), span), sent))
	ended := time.Now()

	handler, hand := each(1)
	run := f.consume(message.Commands, handler)
	d := next(f, hand)
	require.Equal(f, "docmill.conversion.v1.ConvertRequested", d.Type)
	require.Equal(f, message.ContentType, d.ContentType)
	require.NotEmpty(f, d.ID)
	require.Equal(f, "job-1", d.JobID)
	require.Equal(f, publishing, d.App)
	require.False(f, d.PublishedAt.Before(began.Truncate(time.Second)), "%s is before %s", d.PublishedAt, began)
	require.False(f, d.PublishedAt.After(ended), "%s is after %s", d.PublishedAt, ended)
	require.Equal(f, 3, d.Attempt)
	require.Zero(f, d.DeliveryCount)
	require.Empty(f, d.Death)
	body, err := d.Message()
	require.NoError(f, err)
	require.True(f, proto.Equal(sent.Body, body), "the body")
	require.Equal(f, span.TraceID(), trace.SpanContextFromContext(d.ctx).TraceID(), "the trace in the handler's context")
	require.Equal(f, span.SpanID(), trace.SpanContextFromContext(d.ctx).SpanID())
	d.decide <- message.Ack
	run.stop()

	f.publish(p, event("job-2"))
	plain := f.holdsOnly(p, message.Events, "job-1", "job-2")[1]
	require.Equal(f, 1, plain.Attempt, "0 means 1")
	require.False(f, trace.SpanContextFromContext(plain.Context(f.Context())).IsValid(), "no trace was published")
}

// testPublishedSurvivesRestart also covers what is acknowledged, delayed and dead: it is done once for all.
func testPublishedSurvivesRestart(f *fixture) {
	p, publisher := f.publisher()
	f.publish(p, command("acknowledged"), command("dead"))
	handler, hand := each(1)
	run := f.consume(message.Commands, handler)
	next(f, hand).decide <- message.Ack
	next(f, hand).decide <- message.DeadLetter
	run.stop()
	f.take(message.DeadCommands, 1) // it arrived there
	f.publish(p, command("also-dead"))
	f.reject(message.Commands)

	f.publish(p, returned("delayed", message.RetryDelays()[0]), command("job-1"), event("job-2"))
	publisher.abandon() // nothing that Publish left for later is done now
	f.store.Restart(f)

	p, _ = f.publisher()
	require.Equal(f, "delayed", f.take(message.Returned, 1)[0].JobID)
	f.holdsOnly(p, message.Commands, "job-1")
	f.holdsOnly(p, message.Events, "acknowledged", "dead", "also-dead", "job-1", "job-2")
	f.deadOnly(p, "also-dead")
}

func testConcurrentPublish(f *fixture) {
	const publishers, each = 16, 8
	p, _ := f.publisher()
	var mu sync.Mutex
	var failures []error
	var all sync.WaitGroup
	for i := range publishers {
		all.Go(func() {
			for _, m := range commands(i*each, (i+1)*each) {
				if err := p.Publish(f.Context(), m); err != nil {
					mu.Lock()
					failures = append(failures, err)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	require.Empty(f, failures)
	marker := f.marker()
	f.publish(p, command(marker))
	for _, queue := range []message.Queue{message.Commands, message.Events} {
		require.ElementsMatch(f, jobNames(0, publishers*each), jobsOf(f.takeUntil(queue, marker)), "the queue %s", queue)
	}
}

func testUnpublishable(f *fixture) {
	p, _ := f.publisher()
	delayed, returnedEvent := command("job-1"), event("job-1")
	delayed.Delay = message.RetryDelays()[0]
	returnedEvent.Returned = true
	for name, m := range map[string]message.Message{
		"no body":                             {JobID: "job-1"},
		"a body without a route":              {JobID: "job-1", Body: &conversionv1.Source{}},
		"text that is not UTF-8":              {JobID: "job-1", Body: &conversionv1.ConversionStarted{JobId: "\xff"}},
		"a delay that is not in the schedule": returned("job-1", message.RetryDelays()[0]+time.Millisecond),
		"a new command with a delay":          delayed,
		"a returned event":                    returnedEvent,
	} {
		err := p.Publish(f.Context(), m)
		require.ErrorIs(f, err, message.ErrUnpublishable, name)
		require.True(f, message.NotEnqueued(err), name)
		var failed *message.PublishError
		require.ErrorAs(f, err, &failed, name)
	}
	f.holdsOnly(p, message.Commands)
	f.holdsOnly(p, message.Events)
}

func testCanceledPublish(f *fixture) {
	p, _ := f.publisher()
	ended, cancel := context.WithCancel(f.Context())
	cancel()
	err := p.Publish(ended, command("job-1"))
	require.ErrorIs(f, err, context.Canceled)
	require.True(f, message.NotEnqueued(err))
	var failed *message.PublishError
	require.ErrorAs(f, err, &failed)
	f.holdsOnly(p, message.Commands)
	f.holdsOnly(p, message.Events)
}

func testStoppedPublisher(f *fixture) {
	p, err := f.store.Open(f, publishing).NewPublisher(message.PublisherOptions{})
	require.NoError(f, err)
	require.ErrorIs(f, p.Check(f.Context()), message.ErrNotConnected, "it does not run yet")
	run := f.start(p)
	f.works(p)
	f.publish(p, command("before"))
	run.stop()
	require.ErrorIs(f, p.Check(f.Context()), message.ErrNotConnected, "it has stopped")
	err = p.Publish(f.Context(), command("after"))
	require.ErrorIs(f, err, message.ErrNotConnected)
	require.True(f, message.NotEnqueued(err))
	other, _ := f.publisher()
	f.holdsOnly(other, message.Commands, "before")
}

func testFullQueue(f *fixture) {
	const limit = 5
	f.store.LimitCommands(f, limit)
	p, _ := f.publisher()
	accepted, rejected := f.fill(p, limit)
	require.ErrorIs(f, rejected, message.ErrNacked)
	require.GreaterOrEqual(f, len(accepted), limit)
	f.publish(p, event("event")) // the queue of the events is not full

	require.Equal(f, accepted, jobsOf(f.take(message.Commands, len(accepted))))
	require.Eventually(f, func() bool { // a broker may take notice of the free space late
		err := p.Publish(f.Context(), command("again"))
		return err == nil || !errors.Is(err, message.ErrNacked)
	}, f.suite.Patience, pollInterval)
	f.holdsOnly(p, message.Commands, "again")
	if message.NotEnqueued(rejected) {
		inEvents := jobsOf(f.empty(p, message.Events))
		require.NotContains(f, inEvents, jobName(len(accepted)), "it was said to be in no queue")
	}
}
