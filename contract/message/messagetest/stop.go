package messagetest

import (
	"context"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
)

var stopCases = []testCase{
	{name: "a drain finishes deliveries in progress", run: testDrainFinishes},
	{name: "a drain under load counts no delivery", run: testDrainUnderLoad},
	{name: "an abandoned handler can still acknowledge", run: testAbandonedHandler},
	{name: "a drain does not wait for readiness", run: testDrainWhileNotReady},
	{name: "a drained batch consumer returns the rest", run: testDrainReturnsTheRest},
	{name: "a drain ends the retries of a batch", run: testDrainEndsRetries},
	{name: "a canceled batch comes again", run: testCanceledBatch},
}

func testDrainFinishes(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, commands(0, 3)...)
	handler, hand := each(2)
	run := f.consume(message.Commands, handler)
	first, second := next(f, hand), next(f, hand)
	run.drain()
	first.decide <- message.Ack
	second.decide <- message.Ack
	run.stopped()
	require.NotErrorIs(f, context.Cause(first.ctx), message.ErrConnectionLost, "nothing interrupted it")
	rest := f.holdsOnly(p, message.Commands, jobName(2))
	f.uncounted(rest)
}

// testDrainUnderLoad drains consumers while messages arrive, so that some are on their way to a consumer that stops.
func testDrainUnderLoad(f *fixture) {
	const rounds, perRound = 25, 8
	p, _ := f.publisher()
	published := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < rounds*perRound && err == nil; i++ {
			err = p.Publish(f.Context(), command(jobName(i)))
		}
		published <- err
	}()
	received := make(chan *message.Delivery, rounds*perRound)
	handler := message.Each{Concurrency: 4, Handle: func(_ context.Context, d *message.Delivery) message.Outcome {
		received <- d
		return message.Ack
	}}
	for left := rounds * perRound; left > 0; {
		run := f.consume(message.Commands, handler)
		require.Zero(f, next(f, received).DeliveryCount)
		run.stop()
		for left--; len(received) > 0; left-- {
			require.Zero(f, (<-received).DeliveryCount)
		}
	}
	require.NoError(f, next(f, published))
	f.holdsOnly(p, message.Commands)
}

// testAbandonedHandler: when its context ends, a handler has a little time to hand its work over.
func testAbandonedHandler(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, command("handed-over"), command("abandoned"))
	abandoned := make(chan message.Outcome)
	run := f.consume(message.Commands, message.Each{Concurrency: 2, Handle: func(ctx context.Context, d *message.Delivery) message.Outcome {
		abandoned <- message.Requeue
		<-ctx.Done()
		if d.JobID == "handed-over" && p.Publish(context.WithoutCancel(ctx), returned(d.JobID, 0)) == nil {
			return message.Ack
		}
		return message.Requeue
	}})
	next(f, abandoned)
	next(f, abandoned)
	run.abandon()
	require.Equal(f, 1, f.holdsOnly(p, message.Commands, "abandoned")[0].DeliveryCount)
	require.Zero(f, f.holdsOnly(p, message.Returned, "handed-over")[0].DeliveryCount)
}

// uncounted requires that returning the deliveries did not count, where the broker can do that.
func (f *fixture) uncounted(deliveries []*message.Delivery) {
	f.Helper()
	for _, d := range deliveries {
		if f.suite.Lacks.UncountedReturn {
			require.LessOrEqual(f, d.DeliveryCount, 1)
		} else {
			require.Zero(f, d.DeliveryCount, "the drain counted as a delivery of %s", d.JobID)
		}
	}
}

func testDrainWhileNotReady(f *fixture) {
	questions, ready := questioned()
	handler, _ := each(1)
	_, run := f.consumer(message.Commands, handler, message.ConsumerOptions{Ready: ready})
	answer := next(f, questions)
	run.drain()
	answer <- errDown
	run.stopped()
}

func testDrainReturnsTheRest(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, commands(0, 5)...)
	handler, hand := batches(1)
	run := f.consume(message.Commands, handler)
	h := next(f, hand)
	require.Equal(f, jobNames(0, 1), h.jobs())
	run.drain()
	h.decide <- nil
	run.stopped()
	rest := f.empty(p, message.Commands)
	require.ElementsMatch(f, jobNames(1, 5), jobsOf(rest)) // their order is not promised
	f.uncounted(rest)
}

func testDrainEndsRetries(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, command("job-1"))
	handler, hand := batches(1)
	run := f.consume(message.Commands, handler)
	h := next(f, hand)
	run.drain()
	h.decide <- errDown
	run.stopped()
	f.holdsOnly(p, message.Commands, "job-1")
}

func testCanceledBatch(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, command("job-1"))
	handler, hand := batches(1)
	run := f.consume(message.Commands, handler)
	first := next(f, hand)
	run.cancel()
	next(f, first.ctx.Done())
	run.stopped()
	again := f.holdsOnly(p, message.Commands, "job-1")[0]
	require.Equal(f, first.batch[0].Envelope, again.Envelope)
	require.Equal(f, 1, again.DeliveryCount)
}
