package messagetest

import (
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
)

var progressCases = []testCase{
	{name: "progress goes to progress alone", run: testProgressAlone},
	{name: "the oldest progress is dropped", run: testOldestProgressIsDropped},
}

func testProgressAlone(f *fixture) {
	p, _ := f.publisher()
	f.publish(p, progress("first"), progress("second"))
	require.Equal(f, []string{"first", "second"}, jobsOf(f.take(message.Progress, 2)))
	f.holdsOnly(p, message.Commands)
	f.holdsOnly(p, message.Events)
}

// testOldestProgressIsDropped publishes while nothing consumes, as during an outage of the status service.
func testOldestProgressIsDropped(f *fixture) {
	const excess = 100
	p, _ := f.publisher()
	f.publish(p, progress("oldest"))
	var publishing sync.WaitGroup
	for i := range message.MaxProgress + excess {
		publishing.Go(func() { f.publish(p, progress(jobName(i))) })
	}
	publishing.Wait()
	f.publish(p, progress("newest"))
	f.holdsDepth(p, message.Progress, message.MaxProgress)
	f.holdsDepth(p, message.Events, 0)

	handler, hand := each(1)
	run := f.consume(message.Progress, handler)
	for {
		d := next(f, hand)
		require.NotEqual(f, "oldest", d.JobID)
		d.decide <- message.Ack
		if d.JobID == "newest" {
			break
		}
	}
	run.stop()
}
