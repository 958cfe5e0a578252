// Package storetest is the conformance suite for implementations of [jobstore.Store]. Call [Test] from a test of the
// implementation.
package storetest

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// Database is one database of the implementation under test.
type Database interface {
	// Open returns a store on the database that does not run yet.
	Open(tb testing.TB) jobstore.Store
	// Backdate makes the first event of the jobs, by the database's clock, older by that time.
	Backdate(tb testing.TB, by time.Duration, ids ...uuid.UUID)
	// SetClock makes the observation of the clock look as if the clock had been set forward by that time, which may be negative.
	SetClock(tb testing.TB, by time.Duration)
}

// Implementation is what the suite needs to know about an implementation.
type Implementation struct {
	// New returns a new, empty database. It must be removed at the end of the test.
	New func(tb testing.TB) Database
	// Replicas is set if several stores may run on one database at the same time.
	Replicas bool
	// NotifyWithin is how long the suite waits for a notification before it concludes that there is none. Default 10 s.
	NotifyWithin time.Duration
}

// Patience is how long tests wait for an expected event: long, because a machine that runs all tests at once is slow.
const Patience = time.Minute

// Test runs the suite. Every case has a database of its own.
func Test(t *testing.T, implementation Implementation) { //nolint:tparallel // the caller calls t.Parallel
	t.Helper()
	if implementation.NotifyWithin == 0 {
		implementation.NotifyWithin = 10 * time.Second
	}
	cases := map[string]func(t *suite){
		"NotReadyBeforeRun":     testNotReadyBeforeRun,
		"RunEndsWithDrain":      testRunEndsWithDrain,
		"AppliedIsRead":         testAppliedIsRead,
		"FieldsRoundTrip":       testFieldsRoundTrip,
		"ExtremeValues":         testExtremeValues,
		"LongTexts":             testLongTexts,
		"Restart":               testRestart,
		"UnknownID":             testUnknownID,
		"Placeholder":           testPlaceholder,
		"Withdrawn":             testWithdrawn,
		"DeleteWithdrawn":       testDeleteWithdrawn,
		"DeletedMeanwhile":      testDeletedMeanwhile,
		"Duplicates":            testDuplicates,
		"LateEvents":            testLateEvents,
		"FirstCompletionWins":   testFirstCompletionWins,
		"Submissions":           testSubmissions,
		"OrderWithinBatch":      testOrderWithinBatch,
		"VersionCountsChanges":  testVersionCountsChanges,
		"OrderDoesNotMatter":    testOrderDoesNotMatter,
		"SameAsFold":            testSameAsFold,
		"Concurrency":           testConcurrency,
		"NoEvents":              testNoEvents,
		"RefusedEvent":          testRefusedEvent,
		"RefusedText":           testRefusedText,
		"CanceledContext":       testCanceledContext,
		"TimeoutWhileBlocked":   testTimeoutWhileBlocked,
		"Expire":                testExpire,
		"ExpireByWatermark":     testExpireByWatermark,
		"ExpireLimit":           testExpireLimit,
		"ExpireConcurrently":    testExpireConcurrently,
		"Notifications":         testNotifications,
		"NotificationsOfBatch":  testNotificationsOfBatch,
		"NotificationsOfExpire": testNotificationsOfExpire,
		"Watermark":             testWatermark,
		"WatermarkOfReplicas":   testWatermarkOfReplicas,
		"WatermarkOfFastClock":  testWatermarkOfFastClock,
		"Now":                   testNow,
		"OldestWaiting":         testOldestWaiting,
	}
	maps.Copy(cases, housekeepingCases())
	maps.Copy(cases, deliveryCases())
	maps.Copy(cases, listCases())
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(&suite{T: t, implementation: implementation, database: implementation.New(t)})
		})
	}
}

// suite is what one case works with.
type suite struct {
	*testing.T

	implementation Implementation
	database       Database
}

// start opens a store and runs it until the test ends.
func (t *suite) start() jobstore.Store {
	t.Helper()
	store, _ := t.startStopping()
	return store
}

// startStopping is start with a function that stops the store before the test ends.
func (t *suite) startStopping() (store jobstore.Store, stop func()) {
	t.Helper()
	store = t.database.Open(t)
	stop = Run(t, store.Run)
	WaitReady(t, store)
	return store, stop
}

// startReplicas starts n stores on the database, or one that is returned n times.
func (t *suite) startReplicas(n int) []jobstore.Store {
	t.Helper()
	stores := make([]jobstore.Store, n)
	for i := range stores {
		if i > 0 && !t.implementation.Replicas {
			stores[i] = stores[0]
			continue
		}
		stores[i] = t.start()
	}
	return stores
}

// Run runs a component until stop is called or the test ends, and then drains it.
func Run(
	tb testing.TB, component func(ctx context.Context, ready func(), drain <-chan struct{}) error,
) (stop func()) {
	tb.Helper()
	ready, drain, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { ended <- component(context.Background(), func() { close(ready) }, drain) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		close(drain)
		select {
		case err := <-ended:
			require.NoError(tb, err)
		case <-time.After(Patience):
			require.Fail(tb, "the component does not end after drain")
		}
	}
	tb.Cleanup(stop)
	select {
	case <-ready:
	case <-time.After(Patience):
		require.Fail(tb, "the component does not call ready")
	}
	return stop
}

// WaitReady waits until the store is ready.
func WaitReady(tb testing.TB, store jobstore.Store) {
	tb.Helper()
	require.Eventually(tb, func() bool { return store.Check(tb.Context()) == nil }, Patience, time.Millisecond)
}

// until calls done until it returns true, for at most Patience. Unlike that of require.Eventually, done runs in the goroutine of the test,
// so it may fail the test, and does not outlive it.
func until(t testingT, done func() bool) {
	t.Helper()
	for began := time.Now(); !done(); time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(began), Patience)
	}
}

// testingT is what testing.TB and rapid.T have in common.
type testingT interface {
	require.TestingT
	Helper()
	Context() context.Context
}

// apply applies the events in one batch, none of which may be refused.
func apply(t testingT, store jobstore.Store, events ...job.Event) []jobstore.Outcome {
	t.Helper()
	outcomes, err := store.Apply(t.Context(), events)
	require.NoError(t, err)
	require.Len(t, outcomes, len(events))
	for _, outcome := range outcomes {
		require.NoError(t, outcome.Refused)
	}
	return outcomes
}

// read reads a job that must be visible.
func read(t testingT, store jobstore.Store, id uuid.UUID) job.Job {
	t.Helper()
	found, err := store.Job(t.Context(), id)
	require.NoError(t, err)
	return found
}

// requirePlaceholder requires that clients cannot see the job yet, but may see it later.
func requirePlaceholder(t testingT, store jobstore.Store, id uuid.UUID) {
	t.Helper()
	_, err := store.Job(t.Context(), id)
	require.ErrorIs(t, err, jobstore.ErrPlaceholder)
	require.ErrorIs(t, err, jobstore.ErrNotFound)
}

// requireNotFound requires that clients do not see the job.
func requireNotFound(t testingT, store jobstore.Store, id uuid.UUID) {
	t.Helper()
	_, err := store.Job(t.Context(), id)
	require.ErrorIs(t, err, jobstore.ErrNotFound)
	require.NotErrorIs(t, err, jobstore.ErrPlaceholder)
}
