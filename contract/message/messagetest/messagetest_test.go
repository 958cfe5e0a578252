package messagetest

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestReference: the suite accepts a correct broker.
func TestReference(t *testing.T) {
	t.Parallel()
	Run(t, Suite{Open: func(testing.TB) Harness { return newMemory(bugs{}).harness() }})
}

// TestPlantedBugs: for each bug, the cases named here fail on a broker that has it. Other cases may fail, too.
func TestPlantedBugs(t *testing.T) {
	t.Parallel()
	for name, planted := range plantedBugs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suite := Suite{
				Open: func(testing.TB) Harness { return newMemory(planted.bugs).harness() },
				// Enough for a broker in memory. A case whose expected event never comes takes this long.
				Patience: 2 * time.Second,
			}
			for _, c := range cases() {
				if c.name == planted.caughtBy {
					failure := observe(t, suite, c)
					require.NotEmpty(t, failure, "the case %q passes in spite of the bug", c.name)
					t.Logf("%s: %s", c.name, failure)
					return
				}
			}
			require.Failf(t, "no such case", "%q", planted.caughtBy)
		})
	}
}

// TestEveryCaseDetectsABug: no case is there for nothing.
func TestEveryCaseDetectsABug(t *testing.T) {
	t.Parallel()
	caught := map[string]bool{}
	for planted := range maps.Values(plantedBugs()) {
		caught[planted.caughtBy] = true
	}
	for _, c := range cases() {
		require.True(t, caught[c.name], "no planted bug is caught by %q", c.name)
	}
}

type planted struct {
	bugs     bugs
	caughtBy string
}

// plantedBugs lists the bugs by name.
func plantedBugs() map[string]planted {
	return map[string]planted{
		"publish is acknowledged before the message is stored": {bugs{publishBeforeStored: true}, "published messages survive a restart"},
		"a command is not copied to the events":                {bugs{eventNotCopied: true}, "a command reaches commands and events"},
		"events reach the commands":                            {bugs{eventsAlsoCommands: true}, "an event reaches events only"},
		"the attempt is forgotten":                             {bugs{attemptForgotten: true}, "a delivery carries the envelope"},
		"concurrent publishers lose messages":                  {bugs{loseConcurrent: true}, "many publish at once"},
		"an unpublishable message is accepted":                 {bugs{acceptUnpublishable: true}, "unpublishable messages are rejected"},
		"a canceled publish is sent":                           {bugs{acceptCanceled: true}, "a canceled publish sends nothing"},
		"a stopped publisher goes on":                          {bugs{acceptAfterStop: true}, "a stopped publisher sends nothing"},
		"a full queue accepts":                                 {bugs{fullQueueAccepts: true}, "a full queue rejects"},

		"the depth counts what is in progress": {bugs{depthCountsHeld: true}, "the depth counts what waits"},
		"a depth without a connection":         {bugs{depthWithoutConnection: true}, "a publisher that does not run knows no depth"},

		"a returned command is a new one": {bugs{returnedIsNew: true}, "a returned command goes to returned alone"},
		"returned commands take places":   {bugs{returnedNeedsPlace: true}, "a returned command needs no place in a full queue"},
		"a dead returned one is dropped":  {bugs{returnedDropped: true}, "a rejected returned command is dead"},
		"the delay is lost":               {bugs{delayLost: true}, "a delayed command goes to returned alone, and late"},
		"a delayed command is an event":   {bugs{delayedAlsoEvents: true}, "a delayed command goes to returned alone, and late"},
		"delays wait for each other":      {bugs{delaysInOneLine: true}, "a short delay overtakes a long one"},
		"an acknowledgment is ignored":    {bugs{ackIgnored: true}, "acknowledged messages are gone"},
		"a requeue drops":                 {bugs{requeueDrops: true}, "a requeued message comes again"},
		"a redelivery has a new id":       {bugs{newIDOnRedelivery: true}, "a requeued message comes again"},
		"a dead letter is dropped":        {bugs{deadLetterDropped: true}, "a rejected command is dead"},
		"the death is forgotten":          {bugs{deathForgotten: true}, "a rejected command is dead"},
		"a dead event is dropped":         {bugs{deadEventDropped: true}, "a rejected event is dead"},
		"a forwarded event is a command":  {bugs{forwardedElsewhere: true}, "a forwarded message goes to its queue alone, unchanged"},
		"a forwarded message is renewed":  {bugs{forwardedRenewed: true}, "a forwarded message goes to its queue alone, unchanged"},
		"messages are forwarded anywhere": {bugs{forwardAnywhere: true}, "only dead letters are forwarded"},
		"acknowledged before handling":    {bugs{ackBeforeHandle: true}, "a lost delivery comes again and is counted"},
		"a loss is not counted":           {bugs{lossNotCounted: true}, "a lost delivery comes again and is counted"},
		"there is no delivery limit":      {bugs{noDeliveryLimit: true}, "a command that is lost too often is dead"},
		"there is no concurrency limit":   {bugs{noConcurrencyLimit: true}, "a consumer takes no more than its concurrency"},
		"a consumer prefetches more":      {bugs{prefetchesMore: true}, "a consumer takes no more than its concurrency"},
		"a message goes to all consumers": {bugs{noClaim: true}, "consumers of a queue compete"},
		"a late acknowledgment counts":    {bugs{lateAckCounts: true}, "a handler learns that its connection is lost"},
		"a loss has another cause":        {bugs{lossNotAnnounced: true}, "a handler learns that its connection is lost"},
		"foreign messages are dropped":    {bugs{foreignDropped: true}, "foreign messages are malformed"},
		"readiness is ignored":            {bugs{readyIgnored: true}, "a consumer that is not ready takes nothing"},
		"a suspension is ignored":         {bugs{suspendIgnored: true}, "a suspended consumer takes nothing"},
		"Check always returns nil":        {bugs{checkAlwaysNil: true}, "a consumer says whether it can work"},

		"a drain drops deliveries in progress": {bugs{drainDropsHand: true}, "a drain finishes deliveries in progress"},
		"an abandoned handler cannot settle":   {bugs{abandonedAckIgnored: true}, "an abandoned handler can still acknowledge"},
		"a drain counts what just arrived":     {bugs{drainCountsNew: true}, "a drain under load counts no delivery"},
		"a drain is ignored":                   {bugs{drainIgnored: true}, "a drain does not wait for readiness"},
		"a drain counts as a delivery":         {bugs{drainCountsRest: true}, "a drained batch consumer returns the rest"},
		"a drained batch is retried":           {bugs{drainKeepsRetrying: true}, "a drain ends the retries of a batch"},
		"a batch acknowledged at first":        {bugs{ackBeforeHandle: true}, "a canceled batch comes again"},
		"a batch is too large":                 {bugs{batchTooLarge: true}, "batches keep the order and their limit"},
		"a batch is reversed":                  {bugs{batchReversed: true}, "batches keep the order and their limit"},
		"a batch waits until it is full":       {bugs{batchWaits: true}, "a batch does not wait for more"},
		"a retried batch is shorter":           {bugs{batchRetriesOne: true}, "a failing batch is retried unchanged"},
		"a failed batch is acknowledged":       {bugs{batchAckedOnError: true}, "a failing batch is returned in the end"},
		"a mark is ignored":                    {bugs{markIgnored: true}, "a batch dead-letters what is marked"},
		"a mark takes those behind it too":     {bugs{markTakesAll: true}, "a batch dead-letters what is marked"},
		"marks are kept":                       {bugs{marksKept: true}, "marks of a failed try are removed"},
		"the trace is lost":                    {bugs{traceLost: true}, "each delivery of a batch has its own trace"},
		"a lost batch is not counted":          {bugs{lossNotCounted: true}, "a batch of a lost connection comes again"},

		"an announcement reaches one listener": {bugs{fanOutToOne: true}, "every listener receives an announcement"},
		"announcements are kept":               {bugs{announcementsKept: true}, "announcements are not kept"},
		"a rejected announcement is dead":      {bugs{rejectedAnnouncementDies: true}, "a rejected announcement is dropped"},

		"progress is an event":           {bugs{progressIsEvent: true}, "progress goes to progress alone"},
		"progress is kept without limit": {bugs{progressUnlimited: true}, "the oldest progress is dropped"},
		"the newest progress is dropped": {bugs{newestDropped: true}, "the oldest progress is dropped"},
	}
}

// observe runs a case and returns its failure, or "" if it passes.
func observe(t *testing.T, suite Suite, c testCase) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &recorder{TB: t, ctx: ctx}
	run := func(f func()) { // a case may end its goroutine
		done := make(chan struct{})
		go func() {
			defer close(done)
			f()
		}()
		<-done
	}
	run(func() { suite.run(r, c) })
	cancel()
	for _, cleanup := range slices.Backward(r.cleanups) {
		run(cleanup)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.failures, "\n")
}

// recorder is a testing.TB that records failures. It embeds one because of that interface's private method.
type recorder struct {
	testing.TB

	ctx      context.Context
	mu       sync.Mutex
	failures []string
	cleanups []func()
}

func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Cleanup(f func())         { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Helper()                  {}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failures) > 0
}

func (r *recorder) FailNow() { runtime.Goexit() }

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	r.FailNow()
}
