package messagetest

import (
	"context"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
)

var depthCases = []testCase{
	{name: "the depth counts what waits", run: testDepth},
	{name: "a publisher that does not run knows no depth", run: testDepthUnknown},
}

func testDepth(f *fixture) {
	p, _ := f.publisher()
	f.holdsDepth(p, message.Commands, 0)
	f.publish(p, command("first"), command("second"), command("third"), event("event"))
	f.holdsDepth(p, message.Commands, 3)
	f.holdsDepth(p, message.Events, 4)

	handler, hand := each(1)
	f.consume(message.Commands, handler)
	d := next(f, hand)
	f.holdsDepth(p, message.Commands, 2) // what a consumer works on does not wait
	d.decide <- message.Ack
	next(f, hand)
	f.holdsDepth(p, message.Commands, 1)

	_, err := p.Depth(f.Context(), message.Announcements)
	require.Error(f, err, "announcements are not kept")
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	_, err = p.Depth(ctx, message.Commands)
	require.ErrorIs(f, err, context.Canceled)
}

// holdsDepth waits until a queue has that depth. A broker may count late.
func (f *fixture) holdsDepth(p message.Publisher, queue message.Queue, want int) {
	f.Helper()
	require.Eventually(f, func() bool {
		depth, err := p.Depth(f.Context(), queue)
		return err == nil && depth == want
	}, f.suite.Patience, pollInterval, "the depth of %s is not %d", queue, want)
}

func testDepthUnknown(f *fixture) {
	p, err := f.store.Open(f, publishing).NewPublisher(message.PublisherOptions{})
	require.NoError(f, err)
	_, err = p.Depth(f.Context(), message.Commands)
	require.ErrorIs(f, err, message.ErrNotConnected)
}
