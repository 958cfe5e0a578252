package messagetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/message"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// The names of the services that the suite plays.
const (
	publishing = "publishing-service"
	consuming  = "consuming-service"
)

// pollInterval is the interval at which the suite polls for a state that has no notification.
const pollInterval = 10 * time.Millisecond

// fixture is what a case works with.
type fixture struct {
	testing.TB

	suite   Suite
	store   Harness
	markers int
}

// running is a Publisher or Consumer that runs until the case ends.
type running struct {
	f      *fixture
	drain  func()
	cancel func()
	done   chan error
}

func (f *fixture) start(r message.Runner) *running {
	f.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.Context()))
	drain := make(chan struct{})
	run := &running{f: f, drain: sync.OnceFunc(func() { close(drain) }), cancel: cancel, done: make(chan error, 1)}
	ready := make(chan struct{})
	go func() { run.done <- r.Run(ctx, sync.OnceFunc(func() { close(ready) }), drain) }()
	f.Cleanup(func() {
		cancel()
		run.stopped()
	})
	next(f, ready)
	return run
}

// stopped waits until Run has returned, and requires that it returned nil.
func (r *running) stopped() {
	r.f.Helper()
	err := next(r.f, r.done)
	r.done <- err // for the cleanup
	require.NoError(r.f, err, "Run")
}

// stop drains and waits.
func (r *running) stop() {
	r.f.Helper()
	r.drain()
	r.stopped()
}

// abandon cancels, as at the end of a drain's deadline, and waits.
func (r *running) abandon() {
	r.f.Helper()
	r.cancel()
	r.stopped()
}

// publisher returns a running publisher that can publish now.
func (f *fixture) publisher() (message.Publisher, *running) {
	f.Helper()
	p, err := f.store.Open(f, publishing).NewPublisher(message.PublisherOptions{
		Wait: f.suite.Patience, ConfirmTimeout: f.suite.Patience,
	})
	require.NoError(f, err)
	run := f.start(p)
	f.works(p)
	return p, run
}

// consume runs a consumer that need not be connected yet.
func (f *fixture) consume(queue message.Queue, handler message.Handler) *running {
	f.Helper()
	_, run := f.consumer(queue, handler, message.ConsumerOptions{})
	return run
}

func (f *fixture) consumer(
	queue message.Queue, handler message.Handler, options message.ConsumerOptions,
) (message.Consumer, *running) {
	f.Helper()
	c, err := f.store.Open(f, consuming).NewConsumer(queue, handler, options)
	require.NoError(f, err)
	return c, f.start(c)
}

// works waits until Check returns nil.
func (f *fixture) works(r message.Runner) {
	f.Helper()
	require.Eventually(f, func() bool { return r.Check(f.Context()) == nil }, f.suite.Patience, pollInterval, "Check")
}

func (f *fixture) publish(p message.Publisher, messages ...message.Message) {
	f.Helper()
	for _, m := range messages {
		require.NoError(f, p.Publish(f.Context(), m))
	}
}

// command returns a message for Commands and Events, event returns one for Events alone, progress one for Progress, and
// announcement one for Announcements.
func command(job string) message.Message {
	return message.Message{JobID: job, Body: &conversionv1.ConvertRequested{
		JobId: job, RequestedAt: timestamppb.Now(), Tag: "a label",
		Source: &conversionv1.Source{ObjectKey: job, Filename: "deck.pptx", Format: "pptx", Size: 1, Sha256: make([]byte, 32)},
		Target: &conversionv1.Target{Format: "pdf"},
	}}
}

func event(job string) message.Message {
	return message.Message{JobID: job, Body: &conversionv1.ConversionStarted{
		JobId: job, Attempt: 1, StartedAt: timestamppb.Now(),
	}}
}

func progress(job string) message.Message {
	return message.Message{JobID: job, Body: &conversionv1.ConversionProgressed{
		JobId: job, Attempt: 1, Phase: conversionv1.Phase_PHASE_CONVERTING, Percent: 50, ProgressedAt: timestamppb.Now(),
	}}
}

func announcement(converter string) message.Message {
	return message.Message{Body: &conversionv1.ConverterAnnounced{ConverterId: converter, SourceFormats: []string{"pptx"}}}
}

func commands(from, to int) []message.Message {
	var messages []message.Message
	for i := from; i < to; i++ {
		messages = append(messages, command(jobName(i)))
	}
	return messages
}

func jobName(i int) string { return fmt.Sprintf("job-%d", i) }

func jobNames(from, to int) []string {
	var names []string
	for i := from; i < to; i++ {
		names = append(names, jobName(i))
	}
	return names
}

// next waits for the next value of a channel, or for its end.
func next[T any](f *fixture, values <-chan T) T {
	f.Helper()
	timeout := time.NewTimer(f.suite.Patience)
	defer timeout.Stop()
	select {
	case v := <-values:
		return v
	case <-timeout.C:
		f.Fatalf("nothing arrived within %s", f.suite.Patience)
		panic("unreachable")
	}
}

// taken is a delivery that a handler works on, until the test decides its outcome.
type taken struct {
	*message.Delivery

	ctx    context.Context //nolint:containedctx // what the handler was called with
	decide chan<- message.Outcome
}

// each returns a handler that lets the test decide, and the deliveries that it works on. A handler whose context ends
// returns Ack if its connection is lost, as one would that has finished in that very moment, and Requeue otherwise.
func each(concurrency int) (message.Each, <-chan taken) {
	hand := make(chan taken)
	return message.Each{Concurrency: concurrency, Handle: func(ctx context.Context, d *message.Delivery) message.Outcome {
		decide := make(chan message.Outcome, 1)
		select {
		case hand <- taken{Delivery: d, ctx: ctx, decide: decide}:
		case <-ctx.Done():
			return message.Requeue
		}
		select {
		case outcome := <-decide:
			return outcome
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), message.ErrConnectionLost) {
				return message.Ack
			}
			return message.Requeue
		}
	}}, hand
}

// held is a batch that a handler works on, until the test decides what the handler returns.
type held struct {
	ctx    context.Context //nolint:containedctx // what the handler was called with
	batch  []*message.Delivery
	decide chan<- error
}

func (h held) jobs() []string {
	var jobs []string
	for _, d := range h.batch {
		jobs = append(jobs, d.JobID)
	}
	return jobs
}

func (h held) ids() []string {
	var ids []string
	for _, d := range h.batch {
		ids = append(ids, d.ID)
	}
	return ids
}

// batches is each for batches.
func batches(limit int) (message.Batches, <-chan held) {
	hand := make(chan held)
	return message.Batches{Max: limit, Handle: func(ctx context.Context, batch []*message.Delivery) error {
		decide := make(chan error, 1)
		select {
		case hand <- held{ctx: ctx, batch: batch, decide: decide}:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case err := <-decide:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}}, hand
}

// reject takes one message out of a queue, dead-letters it, and returns it.
func (f *fixture) reject(queue message.Queue) *message.Delivery {
	f.Helper()
	handler, hand := each(1)
	run := f.consume(queue, handler)
	d := next(f, hand)
	d.decide <- message.DeadLetter
	run.stop()
	return d.Delivery
}

// take takes n messages out of a queue and acknowledges them.
func (f *fixture) take(queue message.Queue, n int) []*message.Delivery {
	f.Helper()
	handler, hand := each(1)
	run := f.consume(queue, handler)
	var all []*message.Delivery
	for range n {
		d := next(f, hand)
		d.decide <- message.Ack
		all = append(all, d.Delivery)
	}
	run.stop()
	return all
}

// holdsOnly requires that a queue holds the messages of these jobs, in this order, and no others, and empties it.
func (f *fixture) holdsOnly(p message.Publisher, queue message.Queue, jobs ...string) []*message.Delivery {
	f.Helper()
	deliveries := f.empty(p, queue)
	require.Equal(f, jobs, jobsOf(deliveries), "the queue %s", queue)
	return deliveries
}

// empty takes everything out of a queue: it publishes a marker and consumes up to that.
func (f *fixture) empty(p message.Publisher, queue message.Queue) []*message.Delivery {
	f.Helper()
	marker := f.marker()
	m := command(marker)
	m.Returned = queue == message.Returned
	f.publish(p, m)
	return f.takeUntil(queue, marker)
}

// deadOnly requires that DeadCommands holds the messages of these jobs and no others, and empties it. It dead-letters a
// marker and consumes up to that. Commands must be empty.
func (f *fixture) deadOnly(p message.Publisher, jobs ...string) []*message.Delivery {
	f.Helper()
	marker := f.marker()
	f.publish(p, command(marker))
	handler, hand := each(1)
	run := f.consume(message.Commands, handler)
	for {
		d := next(f, hand)
		if d.JobID == marker {
			d.decide <- message.DeadLetter
			break
		}
		require.True(f, strings.HasPrefix(d.JobID, markerPrefix), "the queue commands holds a message of %s", d.JobID)
		d.decide <- message.Ack
	}
	run.stop()
	deliveries := f.takeUntil(message.DeadCommands, marker)
	require.ElementsMatch(f, jobs, jobsOf(deliveries), "the dead commands")
	return deliveries
}

// markerPrefix begins the jobs of markers. A marker reaches Commands and Events, so cases find old ones.
const markerPrefix = "marker-"

func (f *fixture) marker() string {
	f.markers++
	return fmt.Sprint(markerPrefix, f.markers)
}

// takeUntil takes everything up to a marker out of a queue, and returns what was not a marker.
func (f *fixture) takeUntil(queue message.Queue, marker string) []*message.Delivery {
	f.Helper()
	var deliveries []*message.Delivery
	handler, hand := each(1)
	run := f.consume(queue, handler)
	for {
		d := next(f, hand)
		d.decide <- message.Ack
		if d.JobID == marker {
			break
		}
		if !strings.HasPrefix(d.JobID, markerPrefix) {
			deliveries = append(deliveries, d.Delivery)
		}
	}
	run.stop()
	return deliveries
}

func jobsOf(deliveries []*message.Delivery) []string {
	var jobs []string
	for _, d := range deliveries {
		jobs = append(jobs, d.JobID)
	}
	return jobs
}
