package messagetest

import (
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
)

var forwardCases = []testCase{
	{name: "a rejected event is dead", run: testRejectedEvent},
	{name: "a forwarded message goes to its queue alone, unchanged", run: testForward},
	{name: "only dead letters are forwarded", run: testForwardElsewhere},
}

func testRejectedEvent(f *fixture) {
	p, _ := f.publisher()
	rejected := event("rejected")
	rejected.Attempt = 3
	f.publish(p, rejected)
	d := f.reject(message.Events)
	f.holdsDepth(p, message.DeadEvents, 1)
	dead := f.take(message.DeadEvents, 1)[0]
	require.Equal(f, d.Envelope, dead.Envelope, "the message is unchanged")
	require.Equal(f, message.Rejected, dead.Death)
	f.holdsDepth(p, message.DeadEvents, 0)
	f.holdsOnly(p, message.Events)
	f.deadOnly(p)
}

// testForward moves a dead submission, a dead message of an unknown type and a dead command.
func testForward(f *fixture) {
	p, _ := f.publisher()
	submission := command("submission")
	submission.Attempt = 3
	f.publish(p, submission)
	f.reject(message.Events)
	f.take(message.Commands, 1)
	dead := f.take(message.DeadEvents, 1)[0].Envelope
	unknown := dead
	unknown.Type, unknown.JobID, unknown.Body, unknown.Trace = "docmill.conversion.v9.FromTheFuture", "unknown", []byte{0xff}, nil

	for _, e := range []message.Envelope{dead, unknown} {
		require.NoError(f, p.Forward(f.Context(), e, message.Events))
	}
	forwarded := f.take(message.Events, 2)
	require.Equal(f, []message.Envelope{dead, unknown}, []message.Envelope{forwarded[0].Envelope, forwarded[1].Envelope})
	require.Zero(f, forwarded[0].DeliveryCount)
	require.Empty(f, forwarded[0].Death)
	f.holdsOnly(p, message.Commands)
	f.holdsOnly(p, message.Returned)

	require.NoError(f, p.Forward(f.Context(), dead, message.Returned))
	returned := f.holdsOnly(p, message.Returned, "submission")[0]
	require.Equal(f, dead, returned.Envelope)
	require.Empty(f, returned.Death)
	f.holdsOnly(p, message.Commands)
	f.holdsOnly(p, message.Events)
}

func testForwardElsewhere(f *fixture) {
	p, run := f.publisher()
	f.publish(p, event("event"))
	e := f.take(message.Events, 1)[0].Envelope
	for _, queue := range []message.Queue{message.Commands, message.Announcements, message.DeadCommands, message.DeadEvents, 0} {
		err := p.Forward(f.Context(), e, queue)
		require.ErrorIs(f, err, message.ErrUnpublishable)
		require.True(f, message.NotEnqueued(err))
	}
	run.stop()
	err := p.Forward(f.Context(), e, message.Events)
	require.ErrorIs(f, err, message.ErrNotConnected)
	require.True(f, message.NotEnqueued(err))
}
