package messagetest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/docmill/docmill/contract/message"
)

// errDown is why a handler fails.
var errDown = errors.New("the database is down")

var batchCases = []testCase{
	{name: "batches keep the order and their limit", run: testBatchOrder},
	{name: "a batch does not wait for more", run: testBatchDoesNotWait},
	{name: "a failing batch is retried unchanged", run: testBatchRetry},
	{name: "a failing batch is returned in the end", run: testBatchReturned},
	{name: "a batch dead-letters what is marked", run: testBatchDeadLetters},
	{name: "marks of a failed try are removed", run: testMarksAreReset},
	{name: "each delivery of a batch has its own trace", run: testBatchTraces},
	{name: "a batch of a lost connection comes again", disconnects: true, run: testBatchConnectionLost},
}

func testBatchOrder(f *fixture) {
	const limit = 4
	p, _ := f.publisher()
	f.publish(p, commands(0, 11)...)
	handler, hand := batches(limit)
	run := f.consume(message.Events, handler)
	for seen := 0; seen < 11; {
		h := next(f, hand)
		require.NotEmpty(f, h.batch)
		require.LessOrEqual(f, len(h.batch), limit)
		require.Equal(f, jobNames(seen, seen+len(h.batch)), h.jobs(), "in order")
		seen += len(h.batch)
		h.decide <- nil
	}
	run.stop()
	f.holdsOnly(p, message.Events)
}

func testBatchDoesNotWait(f *fixture) {
	p, _ := f.publisher()
	handler, hand := batches(4)
	run := f.consume(message.Events, handler)
	f.publish(p, event(jobName(0)))
	h := next(f, hand)
	require.Equal(f, jobNames(0, 1), h.jobs(), "one is a batch")
	h.decide <- nil
	run.stop()
	f.holdsOnly(p, message.Events)
}

func testBatchRetry(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, commands(0, 3)...)
	handler, hand := batches(4)
	run := f.consume(message.Events, handler)
	first := next(f, hand)
	first.decide <- errDown
	for range 4 {
		h := next(f, hand)
		require.Equal(f, first.ids(), h.ids(), "the same batch")
		for _, d := range h.batch {
			require.Zero(f, d.DeliveryCount, "a retry does not count as a delivery")
		}
		h.decide <- errDown
	}
	h := next(f, hand)
	require.Equal(f, first.ids(), h.ids())
	h.decide <- nil
	for seen := len(h.batch); seen < 3; {
		h = next(f, hand)
		seen += len(h.batch)
		h.decide <- nil
	}
	run.stop()
	f.holdsOnly(p, message.Events)
}

func testBatchReturned(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, command("job-1"))
	handler, hand := batches(4)
	_, run := f.consumer(message.Events, handler, message.ConsumerOptions{RetryFor: time.Nanosecond})
	first := next(f, hand)
	first.decide <- errDown
	again := next(f, hand)
	require.Equal(f, first.ids(), again.ids())
	again.decide <- nil
	run.stop()
	f.holdsOnly(p, message.Events)
}

func testBatchDeadLetters(f *fixture) {
	p, _ := f.publisher()
	for name, marked := range map[string][]string{
		"the first": {jobName(0)}, "one between": {jobName(1)}, "the last": {jobName(2)}, "all": jobNames(0, 3),
	} {
		f.publish(p, commands(0, 3)...)
		handler, hand := batches(3)
		run := f.consume(message.Commands, handler)
		for seen := 0; seen < 3; { // usually one batch of three
			h := next(f, hand)
			for _, d := range h.batch {
				if slices.Contains(marked, d.JobID) {
					d.DeadLetter()
				}
			}
			seen += len(h.batch)
			h.decide <- nil
		}
		run.stop()
		f.holdsOnly(p, message.Commands)
		for _, d := range f.deadOnly(p, marked...) {
			require.Equal(f, message.Rejected, d.Death, name)
		}
	}
}

func testMarksAreReset(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, command("job-1"))
	handler, hand := batches(4)
	run := f.consume(message.Commands, handler)
	for range 2 {
		h := next(f, hand)
		require.False(f, h.batch[0].DeadLettered(), "the mark of the try before")
		h.batch[0].DeadLetter()
		h.decide <- errDown
	}
	next(f, hand).decide <- nil
	run.stop()
	f.holdsOnly(p, message.Commands)
	f.deadOnly(p)
}

func testBatchTraces(f *fixture) {
	p, _ := f.publisher()
	for i := range 3 {
		span := trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{byte(i + 1)}, SpanID: trace.SpanID{byte(i + 1)}, TraceFlags: trace.FlagsSampled,
		})
		require.NoError(f, p.Publish(trace.ContextWithSpanContext(f.Context(), span), event(jobName(i))))
	}
	handler, hand := batches(3)
	run := f.consume(message.Events, handler)
	for seen := 0; seen < 3; {
		h := next(f, hand)
		for _, d := range h.batch {
			seen++
			span := trace.SpanContextFromContext(d.Context(h.ctx))
			require.Equal(f, trace.TraceID{byte(seen)}, span.TraceID())
		}
		h.decide <- nil
	}
	run.stop()
}

func testBatchConnectionLost(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, event("job-1"))
	handler, hand := batches(4)
	run := f.consume(message.Events, handler)
	lost := next(f, hand)
	f.store.Disconnect(f)
	next(f, lost.ctx.Done())
	require.ErrorIs(f, context.Cause(lost.ctx), message.ErrConnectionLost)
	again := next(f, hand)
	require.Equal(f, lost.ids(), again.ids())
	require.Equal(f, 1, again.batch[0].DeliveryCount)
	again.decide <- nil
	run.stop()
	f.works(p)
	f.holdsOnly(p, message.Events)
}
