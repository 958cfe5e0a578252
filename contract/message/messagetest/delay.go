package messagetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
)

var delayCases = []testCase{
	{name: "a delayed command goes to commands alone, and late", run: testDelayedCommand},
	{name: "a short delay overtakes a long one", run: testShortDelayOvertakes},
}

func testDelayedCommand(f *fixture) {
	p, _ := f.publisher()
	m := command("delayed")
	m.Delay, m.Attempt = message.RetryDelays()[0], 2
	began := time.Now()
	f.publish(p, m)
	f.holdsOnly(p, message.Commands) // not yet

	handler, hand := each(1)
	run := f.consume(message.Commands, handler)
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
	f.holdsOnly(p, message.Commands)
	f.holdsOnly(p, message.Events) // neither at once nor after the delay
}

func testShortDelayOvertakes(f *fixture) {
	p, _ := f.publisher()
	delays := message.RetryDelays()
	long, short := command("long"), command("short")
	long.Delay, short.Delay = delays[len(delays)-1], delays[0]
	f.publish(p, long, short)
	handler, hand := each(1)
	f.consume(message.Commands, handler)
	d := next(f, hand)
	require.Equal(f, "short", d.JobID)
	d.decide <- message.Ack
}
