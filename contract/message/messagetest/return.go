package messagetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
)

var returnCases = []testCase{
	{name: "a returned command goes to returned alone", run: testReturnedCommand},
	{name: "a delayed command goes to returned alone, and late", run: testDelayedCommand},
	{name: "a short delay overtakes a long one", run: testShortDelayOvertakes},
	{name: "a returned command needs no place in a full queue", run: testReturnedToFullQueue},
	{name: "a rejected returned command is dead", run: testRejectedReturnedCommand},
}

// returned returns a command that is published again, for its second attempt.
func returned(job string, delay time.Duration) message.Message {
	m := command(job)
	m.Returned, m.Delay, m.Attempt = true, delay, 2
	return m
}

func testReturnedCommand(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, returned("job-1", 0))
	f.holdsOnly(p, message.Commands)
	f.holdsOnly(p, message.Events)
	d := f.holdsOnly(p, message.Returned, "job-1")[0]
	require.Equal(f, 2, d.Attempt)
	require.Zero(f, d.DeliveryCount)
}

func testReturnedToFullQueue(f *fixture) {
	const limit = 5
	f.store.LimitCommands(f, limit)
	p, _ := f.publisher()
	_, rejected := f.fill(p, limit)
	require.ErrorIs(f, rejected, message.ErrNacked)
	for i := range 3 * limit {
		require.NoError(f, p.Publish(f.Context(), returned(jobName(i), 0)))
	}
	f.publish(p, returned("delayed", message.RetryDelays()[0]))
	handler, hand := each(1)
	run := f.consume(message.Returned, handler)
	for range 3*limit + 1 {
		next(f, hand).decide <- message.Ack
	}
	run.stop()
}

// fill publishes commands until one is rejected, and returns the jobs of the others and the error.
func (f *fixture) fill(p message.Publisher, limit int) (accepted []string, rejected error) {
	f.Helper()
	const slack = 100
	for i := 0; rejected == nil; i++ {
		require.Less(f, i, limit+slack, "the queue accepts everything")
		if rejected = p.Publish(f.Context(), command(jobName(i))); rejected == nil {
			accepted = append(accepted, jobName(i))
		}
	}
	return accepted, rejected
}

func testRejectedReturnedCommand(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, returned("rejected", 0))
	f.reject(message.Returned)
	require.Equal(f, message.Rejected, f.deadOnly(p, "rejected")[0].Death)
}

func testDelayedCommand(f *fixture) {
	p, _ := f.publisher()
	began := time.Now()
	f.publish(p, returned("delayed", message.RetryDelays()[0]))
	f.holdsOnly(p, message.Returned) // not yet

	handler, hand := each(1)
	run := f.consume(message.Returned, handler)
	d := next(f, hand)
	// Brokers measure in milliseconds, with a clock of their own.
	require.GreaterOrEqual(f, time.Since(began), f.store.ShortestDelay-f.store.ShortestDelay/20, "the delay")
	require.Equal(f, "delayed", d.JobID)
	require.Equal(f, 2, d.Attempt)
	require.Zero(f, d.DeliveryCount, "waiting does not count as a delivery")
	require.Empty(f, d.Death, "it is not dead")
	body, err := d.Message()
	require.NoError(f, err)
	require.NotNil(f, body)
	d.decide <- message.Ack
	run.stop()
	f.holdsOnly(p, message.Returned)
	f.holdsOnly(p, message.Commands) // neither at once nor after the delay
	f.holdsOnly(p, message.Events)
}

func testShortDelayOvertakes(f *fixture) {
	p, _ := f.publisher()
	delays := message.RetryDelays()
	f.publish(p, returned("long", delays[len(delays)-1]), returned("short", delays[0]))
	handler, hand := each(1)
	f.consume(message.Returned, handler)
	d := next(f, hand)
	require.Equal(f, "short", d.JobID)
	d.decide <- message.Ack
}
