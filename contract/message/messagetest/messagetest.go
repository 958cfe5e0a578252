// Package messagetest is the conformance suite of package message: what every implementation of [message.Broker] must
// do.
//
// An implementation runs it in a test of its own:
//
//	func TestConformance(t *testing.T) {
//		messagetest.Run(t, messagetest.Suite{Open: func(t testing.TB) messagetest.Harness { ... }})
//	}
//
// Every case opens a store of its own, so that all of them run in parallel. No case sleeps: each one waits for
// deliveries. To see that nothing arrives, a case publishes a marker behind what must not arrive, and requires that
// the marker is the first to come.
//
// The package's own tests run the suite on a small correct broker and on copies of it with planted bugs, each of
// which a case must detect.
package messagetest

import (
	"testing"
	"time"

	"github.com/docmill/docmill/contract/message"
)

// Suite describes the implementation under test.
type Suite struct {
	// Open returns an empty store. It registers what must be cleaned up with t.Cleanup.
	Open func(t testing.TB) Harness
	// OpenPrivate is Open for the few cases that call Harness.Restart. It is for implementations whose ordinary
	// stores share a server. Nil means Open.
	OpenPrivate func(t testing.TB) Harness
	// Lacks is what the implementation cannot do by design. The cases about it are skipped.
	Lacks Lacks
	// Patience is how long the suite waits for an expected event. Default one minute: the machine may be busy.
	Patience time.Duration
}

// Lacks lists what an implementation cannot do by design.
type Lacks struct {
	// Connection is set if consumers have no connection that they could lose while their process lives.
	// Harness.Disconnect is not used.
	Connection bool
	// UncountedReturn is set if a delivery that a drain returns to its queue counts as delivered once more.
	UncountedReturn bool
}

// Harness is a store of messages, empty at first, and what the suite does to it.
type Harness struct {
	// Open returns a broker on the store, as the service with this name would open it. It is called several times for
	// one store. Brokers of one store need not be isolated from each other like processes, but their consumers
	// compete for the same queues, and announcements reach the consumers of all of them. Required.
	Open func(t testing.TB, name string) message.Broker
	// ShortestDelay is how long the shortest of message.RetryDelays takes in this store, for implementations that can
	// shorten their delays for a test. All delays must be shortened by the same factor. 0 means that it is not
	// shortened.
	ShortestDelay time.Duration
	// Restart stops what holds the messages, without warning if possible, and starts it again. Only what is durable
	// survives. The suite calls it while nothing runs, and then calls Open again. Required.
	Restart func(t testing.TB)
	// Disconnect breaks the connections of all brokers and lets new ones through again at once. Required unless the
	// implementation lacks connections.
	Disconnect func(t testing.TB)
	// LimitCommands sets the number of messages beyond which the queue Commands rejects further ones, instead of
	// message.MaxCommands. The limit may be a soft one. Required.
	LimitCommands func(t testing.TB, n int)
	// Inject puts a message into the queue Commands, bypassing Publish: what a foreign or newer program could have
	// put there. Required.
	Inject func(t testing.TB, e message.Envelope)
}

// Run runs all cases as parallel subtests.
func Run(t *testing.T, suite Suite) {
	t.Helper()
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			suite.run(t, c)
		})
	}
}

// testCase is one requirement. It takes a testing.TB so that the package's own tests can observe that it fails.
type testCase struct {
	name string
	// restarts is set if the case calls Harness.Restart, disconnects if it calls Disconnect.
	restarts, disconnects bool
	run                   func(f *fixture)
}

// cases lists all requirements.
func cases() []testCase {
	var all []testCase
	for _, some := range [][]testCase{publishCases, depthCases, returnCases, deliveryCases, forwardCases, stopCases, batchCases, announcementCases, progressCases} {
		all = append(all, some...)
	}
	return all
}

// run opens a store and runs one case on it.
func (s Suite) run(tb testing.TB, c testCase) {
	tb.Helper()
	if c.disconnects && s.Lacks.Connection {
		tb.Skip("the implementation has no connections")
	}
	if s.Patience == 0 {
		s.Patience = time.Minute
	}
	open := s.Open
	if c.restarts && s.OpenPrivate != nil {
		open = s.OpenPrivate
	}
	f := &fixture{TB: tb, suite: s, store: open(tb)}
	if f.store.ShortestDelay == 0 {
		f.store.ShortestDelay = message.RetryDelays()[0]
	}
	c.run(f)
}
