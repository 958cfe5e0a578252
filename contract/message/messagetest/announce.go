package messagetest

import (
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/message"
)

var announcementCases = []testCase{
	{name: "every listener receives an announcement", run: testEveryListenerReceives},
	{name: "announcements are not kept", run: testAnnouncementsAreNotKept},
	{name: "a rejected announcement is dropped", run: testRejectedAnnouncement},
}

func testEveryListenerReceives(f *fixture) {
	p, _ := f.publisher()
	var hands []<-chan taken
	for range 3 {
		handler, hand := each(1)
		c, _ := f.consumer(message.Announcements, handler, message.ConsumerOptions{})
		f.works(c)
		hands = append(hands, hand)
	}
	sent := announcement("converter-1")
	f.publish(p, sent)
	for _, hand := range hands {
		d := next(f, hand)
		body, err := d.Message()
		require.NoError(f, err)
		require.True(f, proto.Equal(sent.Body, body))
		require.Empty(f, d.JobID)
		d.decide <- message.Ack
	}
	f.holdsOnly(p, message.Commands)
	f.holdsOnly(p, message.Events)
}

func testAnnouncementsAreNotKept(f *fixture) {
	p, _ := f.publisher()
	err := p.Publish(f.Context(), announcement("too early"))
	require.ErrorIs(f, err, message.ErrUnroutable, "no consumer listens")
	require.True(f, message.NotEnqueued(err))

	handler, hand := each(1)
	c, run := f.consumer(message.Announcements, handler, message.ConsumerOptions{})
	f.works(c)
	f.publish(p, announcement("in time"))
	d := next(f, hand)
	require.Equal(f, "in time", converterOf(f, d))
	d.decide <- message.Ack
	run.stop()
	require.ErrorIs(f, p.Publish(f.Context(), announcement("too late")), message.ErrUnroutable)

	handler, hand = each(1)
	c, _ = f.consumer(message.Announcements, handler, message.ConsumerOptions{})
	f.works(c)
	f.publish(p, announcement("again"))
	d = next(f, hand)
	require.Equal(f, "again", converterOf(f, d))
	d.decide <- message.Ack
}

func converterOf(f *fixture, d taken) string {
	f.Helper()
	body, err := d.Message()
	require.NoError(f, err)
	announced, ok := body.(interface{ GetConverterId() string })
	require.True(f, ok)
	return announced.GetConverterId()
}

func testRejectedAnnouncement(f *fixture) {
	p, _ := f.publisher()
	handler, hand := each(1)
	c, run := f.consumer(message.Announcements, handler, message.ConsumerOptions{})
	f.works(c)
	f.publish(p, announcement("converter-1"), announcement("converter-2"))
	d := next(f, hand)
	d.decide <- message.DeadLetter
	d = next(f, hand)
	require.Equal(f, "converter-2", converterOf(f, d), "the rejected one does not come again")
	d.decide <- message.Ack
	run.stop()
	f.deadOnly(p)
}
