package messagetest

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
)

var deliveryCases = []testCase{
	{name: "acknowledged messages are gone", run: testAck},
	{name: "a requeued message comes again", run: testRequeue},
	{name: "a rejected command is dead", run: testDeadLetter},
	{name: "a lost delivery comes again and is counted", run: testLostDelivery},
	{name: "a command that is lost too often is dead", run: testDeliveryLimit},
	{name: "a consumer takes no more than its concurrency", run: testConcurrency},
	{name: "consumers of a queue compete", run: testCompetingConsumers},
	{name: "a handler learns that its connection is lost", disconnects: true, run: testConnectionLost},
	{name: "foreign messages are malformed", run: testMalformed},
	{name: "a consumer that is not ready takes nothing", run: testReady},
	{name: "a suspended consumer takes nothing", run: testSuspend},
	{name: "a consumer says whether it can work", run: testConsumerCheck},
}

func testAck(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, commands(0, 3)...)
	handler, hand := each(1)
	run := f.consume(message.Commands, handler)
	for i := range 3 {
		d := next(f, hand)
		require.Equal(f, jobName(i), d.JobID, "in order")
		d.decide <- message.Ack
	}
	run.stop()
	f.holdsOnly(p, message.Commands)
	f.deadOnly(p)
}

func testRequeue(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, command("job-1"))
	handler, hand := each(1)
	run := f.consume(message.Commands, handler)
	first := next(f, hand)
	first.decide <- message.Requeue
	second := next(f, hand)
	require.Equal(f, first.Envelope, second.Envelope)
	second.decide <- message.Ack
	run.stop()
	f.holdsOnly(p, message.Commands)
}

func testDeadLetter(f *fixture) {
	p, _ := f.publisher()
	rejected := command("rejected")
	rejected.Attempt = 2
	f.publish(p, rejected)
	d := f.reject(message.Commands)
	dead := f.deadOnly(p, "rejected")[0]
	require.Equal(f, d.Envelope, dead.Envelope, "the message is unchanged")
	require.Equal(f, 2, dead.Attempt)
	require.Equal(f, message.Rejected, dead.Death)
	body, err := dead.Message()
	require.NoError(f, err)
	require.NotNil(f, body)
	f.deadOnly(p) // acknowledged there
}

func testLostDelivery(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, command("job-1"))
	handler, hand := each(1)
	run := f.consume(message.Commands, handler)
	first := next(f, hand)
	run.cancel() // as at the end of a drain's deadline
	next(f, first.ctx.Done())
	require.NotErrorIs(f, context.Cause(first.ctx), message.ErrConnectionLost, "the consumer itself ended it")
	run.stopped()

	handler, hand = each(1)
	run = f.consume(message.Commands, handler)
	second := next(f, hand)
	require.Equal(f, first.Envelope, second.Envelope)
	require.Equal(f, first.DeliveryCount+1, second.DeliveryCount)
	second.decide <- message.Ack
	run.stop()
	f.holdsOnly(p, message.Commands)
}

func testDeliveryLimit(f *fixture) {
	p, _ := f.publisher()
	m := command("killer")
	m.Attempt = 2
	f.publish(p, m)
	for i := range message.CommandsDeliveryLimit + 1 {
		handler, hand := each(1)
		run := f.consume(message.Commands, handler)
		d := next(f, hand)
		require.Equal(f, "killer", d.JobID)
		require.Equal(f, i, d.DeliveryCount)
		run.abandon()
	}
	dead := f.deadOnly(p, "killer")[0]
	require.Equal(f, message.DeliveryLimit, dead.Death)
	require.Equal(f, 2, dead.Attempt)
	_, err := dead.Message()
	require.NoError(f, err)
}

func testConcurrency(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, commands(0, 5)...)
	three, hand := each(3)
	first := f.consume(message.Commands, three)
	inHand := []taken{next(f, hand), next(f, hand), next(f, hand)}
	// What the first consumer has not taken is left for others.
	one, others := each(1)
	second := f.consume(message.Commands, one)
	d := next(f, others)
	require.Equal(f, jobName(3), d.JobID)
	inHand[1].decide <- message.Ack
	fifth := next(f, hand)
	require.Equal(f, jobName(4), fifth.JobID, "the free handler takes the next one")
	for _, last := range []taken{inHand[0], inHand[2], d, fifth} {
		last.decide <- message.Ack
	}
	first.stop()
	second.stop()
	f.holdsOnly(p, message.Commands)
}

func testCompetingConsumers(f *fixture) {
	const messages = 20
	p, _ := f.publisher()
	one, hand := each(1)
	another, otherHand := each(1)
	first, second := f.consume(message.Commands, one), f.consume(message.Commands, another)
	f.publish(p, commands(0, messages)...)
	// Each holds one delivery before either continues: both take part.
	a, b := next(f, hand), next(f, otherHand)
	jobs := []string{a.JobID, b.JobID}
	a.decide <- message.Ack
	b.decide <- message.Ack
	timeout := time.NewTimer(f.suite.Patience)
	defer timeout.Stop()
	for len(jobs) < messages {
		var d taken
		select {
		case d = <-hand:
		case d = <-otherHand:
		case <-timeout.C:
			f.Fatalf("%d of %d messages arrived", len(jobs), messages)
		}
		jobs = append(jobs, d.JobID)
		d.decide <- message.Ack
	}
	require.ElementsMatch(f, jobNames(0, messages), jobs, "each goes to one of them")
	first.stop()
	second.stop()
	f.holdsOnly(p, message.Commands)
}

// testConnectionLost: the handler of a lost delivery returns Ack. It must settle neither that delivery, which comes
// again, nor any other.
func testConnectionLost(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, command("job-1"), command("job-2"))
	handler, hand := each(1)
	run := f.consume(message.Commands, handler)
	lost := next(f, hand)
	f.store.Disconnect(f)
	next(f, lost.ctx.Done())
	require.ErrorIs(f, context.Cause(lost.ctx), message.ErrConnectionLost)

	again := next(f, hand) // the consumer connects again by itself
	require.Equal(f, lost.Envelope, again.Envelope)
	require.Equal(f, lost.DeliveryCount+1, again.DeliveryCount)
	again.decide <- message.Ack
	other := next(f, hand)
	require.Equal(f, "job-2", other.JobID)
	other.decide <- message.Ack
	run.stop()
	f.works(p)
	f.holdsOnly(p, message.Commands)
}

func testMalformed(f *fixture) {
	const known = "docmill.conversion.v1.ConvertRequested"
	for _, e := range []message.Envelope{
		{ContentType: message.ContentType, Type: "docmill.conversion.v9.FromTheFuture"},
		{ContentType: message.ContentType},
		{ContentType: "application/json", Type: known, Body: []byte("{}")},
		{ContentType: message.ContentType, Type: known, Body: []byte{0xff}},
	} {
		f.store.Inject(f, e)
	}
	handler, hand := each(1)
	run := f.consume(message.Commands, handler)
	for range 4 {
		d := next(f, hand)
		_, err := d.Message()
		require.ErrorIs(f, err, message.ErrMalformed)
		require.Equal(f, 1, d.Attempt, "a message without an attempt is the first")
		d.decide <- message.DeadLetter
	}
	run.stop()
	p, _ := f.publisher()
	f.deadOnly(p, "", "", "", "")
}

func testReady(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, command("job-1"))
	questions, ready := questioned()
	handler, hand := each(1)
	c, run := f.consumer(message.Commands, handler, message.ConsumerOptions{Ready: ready})
	for range 3 {
		next(f, questions) <- errDown
	}
	require.Error(f, c.Check(f.Context()), "it takes no deliveries")
	other, otherHand := each(1) // the message is free for others
	second := f.consume(message.Commands, other)
	d := next(f, otherHand)
	require.Zero(f, d.DeliveryCount)
	d.decide <- message.Ack
	second.stop()

	f.publish(p, command("job-2"))
	next(f, questions) <- nil
	d = next(f, hand)
	require.Equal(f, "job-2", d.JobID)
	require.Zero(f, d.DeliveryCount)
	d.decide <- message.Ack
	f.works(c)
	run.stop()
	f.holdsOnly(p, message.Commands)
}

func testSuspend(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, command("job-1"), command("job-2"))
	questions, ready := questioned()
	handler, hand := each(2)
	c, run := f.consumer(message.Commands, handler, message.ConsumerOptions{Ready: ready})
	next(f, questions) <- nil
	first, second := next(f, hand), next(f, hand)
	first.decide <- message.Suspend
	next(f, questions) <- errDown
	require.Error(f, c.Check(f.Context()), "it takes no deliveries")
	f.publish(p, command("job-3"))
	other, otherHand := each(1) // the message is free for others
	rival := f.consume(message.Commands, other)
	d := next(f, otherHand)
	require.Equal(f, "job-3", d.JobID)
	require.Zero(f, d.DeliveryCount)
	d.decide <- message.Ack
	rival.stop()
	second.decide <- message.Ack // it was taken before

	f.publish(p, command("job-4"))
	next(f, questions) <- nil
	d = next(f, hand)
	require.Equal(f, "job-4", d.JobID)
	require.Zero(f, d.DeliveryCount)
	d.decide <- message.Ack
	f.works(c)
	run.stop()
	f.holdsOnly(p, message.Commands)
}

// questioned returns a Ready that lets the test answer.
func questioned() (<-chan chan<- error, func(ctx context.Context) error) {
	questions := make(chan chan<- error)
	return questions, func(ctx context.Context) error {
		answer := make(chan error, 1)
		select {
		case questions <- answer:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case err := <-answer:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func testConsumerCheck(f *fixture) {
	handler, _ := each(1)
	c, err := f.store.Open(f, consuming).NewConsumer(message.Events, handler, message.ConsumerOptions{})
	require.NoError(f, err)
	require.ErrorIs(f, c.Check(f.Context()), message.ErrNotConnected, "it does not run yet")
	run := f.start(c)
	f.works(c)
	run.stop()
	require.ErrorIs(f, c.Check(f.Context()), message.ErrNotConnected, "it has stopped")
}
