package storetest

import (
	"context"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

func testNotReadyBeforeRun(t *suite) {
	store := t.database.Open(t)
	id := newID(t)
	requireNotReady := func(err error) {
		require.ErrorIs(t, err, jobstore.ErrNotReady)
		require.NotErrorIs(t, err, jobstore.ErrRefused)
	}
	requireNotReady(store.Check(t.Context()))
	_, err := store.Job(t.Context(), id)
	requireNotReady(err)
	_, err = store.Apply(t.Context(), life(id))
	requireNotReady(err)
	_, err = store.Expire(t.Context(), 0, 1, exhausted)
	requireNotReady(err)
	_, err = store.OldestWaiting(t.Context())
	requireNotReady(err)
	_, err = store.Now(t.Context())
	requireNotReady(err)
	requireNotReady(store.Advance(t.Context(), noon))
	_, err = store.Watermark(t.Context())
	requireNotReady(err)
	Run(t, store.Run)
	WaitReady(t, store)
	requireNotFound(t, store, id)
}

func testRunEndsWithDrain(t *suite) {
	store, stop := t.startStopping()
	id := newID(t)
	apply(t, store, submitted(id))
	stop()
	_, err := store.Job(t.Context(), newID(t))
	require.NotErrorIs(t, err, jobstore.ErrNotFound, "a store that has ended does not know which jobs exist")
	require.Error(t, err)
	_, err = store.Apply(t.Context(), []job.Event{submitted(newID(t))})
	require.Error(t, err)
	require.NotErrorIs(t, err, jobstore.ErrRefused)
}

func testAppliedIsRead(t *suite) {
	store, id := t.start(), newID(t)
	events := life(id)
	for i, event := range events {
		require.Equal(t, []jobstore.Outcome{{Changed: true}}, apply(t, store, event))
		require.Equal(t, fold(id, events[:i+1]...), read(t, store, id))
	}
	other := newID(t)
	apply(t, store, submitted(other), failed(other, 1, 1))
	require.Equal(t, fold(other, submitted(other), failed(other, 1, 1)), read(t, store, other))
	require.Equal(t, fold(id, events...), read(t, store, id), "another job is not affected")
}

// testExtremeValues stores the limits of what messages can express.
func testExtremeValues(t *suite) {
	store := t.start()
	first := time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)
	last := time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	for _, moment := range []time.Time{first, time.Unix(0, 0).UTC(), time.Unix(0, -1000).UTC(), last} {
		id := newID(t)
		submission := submitted(id).(job.Submitted) //nolint:forcetypeassert // it is one
		submission.Submission.RequestedAt = moment
		submission.Submission.Size = math.MaxInt64
		submission.Submission.SHA256, submission.Submission.Options = nil, nil
		end := succeeded(id, math.MaxInt32, 1).(job.Ended) //nolint:forcetypeassert // it is one
		end.FinishedAt, end.StartedAt = moment, moment
		end.Result = &job.Result{Size: math.MaxInt64, Pages: math.MaxInt32}
		end.Warnings, end.Report = nil, &job.Report{Fonts: []job.Font{}, BlockedLinks: []string{}}
		apply(t, store, submission, end)
		require.Equal(t, fold(id, submission, end), read(t, store, id))
	}
}

func testLongTexts(t *suite) {
	store, id := t.start(), newID(t)
	long := strings.Repeat("Ü講𝄞 \\u0000 '\"\n", 1<<16)
	submission := submitted(id).(job.Submitted) //nolint:forcetypeassert // it is one
	submission.Submission.Filename, submission.Submission.Tag = long, long
	submission.Submission.Options = map[string]any{long: long}
	end := failed(id, 1, 1).(job.Ended) //nolint:forcetypeassert // it is one
	end.Failure = &job.Failure{Code: "c", Detail: long}
	end.Report = &job.Report{Engine: long, BlockedLinks: slices.Repeat([]string{long}, 3)}
	apply(t, store, submission, end)
	require.Equal(t, fold(id, submission, end), read(t, store, id))
}

func testRestart(t *suite) {
	store, stop := t.startStopping()
	ended, running, placeholder := newID(t), newID(t), newID(t)
	apply(t, store, slices.Concat(life(ended), life(running)[:3], []job.Event{started(placeholder, 1, 1)})...)
	stop()
	store = t.start()
	require.Equal(t, fold(ended, life(ended)...), read(t, store, ended))
	require.Equal(t, fold(running, life(running)[:3]...), read(t, store, running))
	apply(t, store, submitted(placeholder))
	require.Equal(t, fold(placeholder, started(placeholder, 1, 1), submitted(placeholder)), read(t, store, placeholder))
}

func testUnknownID(t *suite) {
	store := t.start()
	requireNotFound(t, store, newID(t))
	requireNotFound(t, store, uuid.Nil)
	apply(t, store, life(newID(t))...)
	requireNotFound(t, store, newID(t))
}

func testPlaceholder(t *suite) {
	store, id := t.start(), newID(t)
	events := life(id)
	for _, event := range events[1:] {
		require.Equal(t, []jobstore.Outcome{{Changed: true}}, apply(t, store, event))
		requirePlaceholder(t, store, id)
	}
	apply(t, store, events[0])
	require.Equal(t, fold(id, append(events[1:], events[0])...), read(t, store, id))
}

func testDuplicates(t *suite) {
	store, id := t.start(), newID(t)
	events := life(id)
	for i, event := range events {
		require.Equal(t, []jobstore.Outcome{{Changed: true}, {}}, apply(t, store, event, event), "duplicate in the batch")
		for _, outcome := range apply(t, store, events[:i+1]...) {
			require.Equal(t, jobstore.Outcome{}, outcome, "redelivery")
		}
		require.Equal(t, fold(id, events[:i+1]...), read(t, store, id))
	}
}

func testLateEvents(t *suite) {
	store, id := t.start(), newID(t)
	apply(t, store, submitted(id), started(id, 2, 20))
	before := read(t, store, id)
	late := []job.Event{started(id, 1, 1), progressed(id, 1, 99, 99), retried(id, 1, 99)}
	require.Equal(t, make([]jobstore.Outcome, len(late)), apply(t, store, late...), "events of an earlier attempt")
	require.Equal(t, before, read(t, store, id))

	apply(t, store, failed(id, 2, 30))
	before = read(t, store, id)
	late = []job.Event{started(id, 3, 40), progressed(id, 3, 41, 50), retried(id, 3, 42)}
	for _, event := range late {
		require.Equal(t, []jobstore.Outcome{{}}, apply(t, store, event), "an event after the end")
		require.Equal(t, before, read(t, store, id), "only a retry leaves a terminal state")
	}
}

func testFirstCompletionWins(t *suite) {
	store := t.start()
	type pair [2]func(id uuid.UUID, attempt int32, seconds int) job.Event
	for _, ends := range []pair{{succeeded, failed}, {failed, succeeded}, {failed, failed}} {
		id := newID(t)
		apply(t, store, submitted(id), started(id, 2, 1))
		apply(t, store, ends[0](id, 1, 5))
		require.Equal(t, []jobstore.Outcome{{}}, apply(t, store, ends[1](id, 2, 4)))
		require.Equal(t, fold(id, submitted(id), started(id, 2, 1), ends[0](id, 1, 5)), read(t, store, id))
	}
}

// testSubmissions submits two documents under the id of one job. The job is that of the submission that is attempted first.
func testSubmissions(t *suite) {
	store, one, other := t.start(), newID(t), newID(t)
	id := newID(t)
	events := []job.Event{of(one, submitted(id)), of(other, submitted(id)), of(other, started(id, 1, 1))}
	for i, event := range events {
		require.Equal(t, []jobstore.Outcome{{Changed: true}}, apply(t, store, event))
		if i < 2 {
			require.Equal(t, one.String(), read(t, store, id).Submission.Filename)
		}
	}
	require.Equal(t, fold(id, events...), read(t, store, id))
	late := apply(t, store, of(one, started(id, 2, 2)), of(one, failed(id, 2, 3)))
	require.Equal(t, make([]jobstore.Outcome, 2), late, "events of the other submission")
	require.Equal(t, fold(id, events...), read(t, store, id))
	require.Equal(t, other.String(), read(t, store, id).Submission.Filename)

	for _, recorded := range []uuid.UUID{one, other} {
		id = newID(t)
		waiting := []job.Event{
			of(one, started(id, 1, 1)), of(other, started(id, 1, 1)), of(one, succeeded(id, 1, 2)), of(other, failed(id, 2, 2)),
		}
		for _, event := range waiting {
			require.Equal(t, []jobstore.Outcome{{Changed: true}}, apply(t, store, event))
			requirePlaceholder(t, store, id)
		}
		apply(t, store, of(recorded, submitted(id)))
		want := fold(id, append(waiting, of(recorded, submitted(id)))...)
		require.Equal(t, recorded == one, want.Status == job.Succeeded)
		require.Equal(t, want, read(t, store, id), "the end that has waited for its submission")
		for _, outcome := range apply(t, store, append(waiting, of(one, submitted(id)), of(other, submitted(id)))...) {
			require.Equal(t, jobstore.Outcome{}, outcome, "redelivery")
		}
		require.Equal(t, want, read(t, store, id))
	}

	id = newID(t)
	events = []job.Event{of(one, submitted(id)), of(other, submitted(id)), of(one, withdrawn(id))}
	apply(t, store, events[:2]...)
	apply(t, store, events[2])
	require.Equal(t, fold(id, events...), read(t, store, id))
	require.Equal(t, other.String(), read(t, store, id).Submission.Filename, "the one that was not withdrawn")
}

func testOrderWithinBatch(t *suite) {
	store, first, second := t.start(), newID(t), newID(t)
	outcomes := apply(t, store,
		submitted(second), succeeded(first, 1, 1), failed(second, 1, 1),
		failed(first, 1, 1), succeeded(second, 1, 1), submitted(first),
	)
	changed, unchanged := jobstore.Outcome{Changed: true}, jobstore.Outcome{}
	require.Equal(t, []jobstore.Outcome{changed, changed, changed, unchanged, unchanged, changed}, outcomes)
	require.Equal(t, job.Succeeded, read(t, store, first).Status)
	require.Equal(t, job.Failed, read(t, store, second).Status)
}

func testVersionCountsChanges(t *suite) {
	store, id := t.start(), newID(t)
	var version int64
	for _, event := range append(life(id), life(id)...) {
		if apply(t, store, event)[0].Changed {
			version++
		}
		require.Equal(t, version, read(t, store, id).Version)
	}
	require.Equal(t, int64(len(life(id))), version)
	other := newID(t)
	apply(t, store, life(other)...)
	require.Equal(t, version, read(t, store, other).Version, "in one batch")
}

// contents returns the job without its id and its version, which depends on the order of the events.
func contents(j job.Job) job.Job {
	j.ID, j.Version = uuid.Nil, 0
	if j.Submission != nil {
		submission := *j.Submission
		submission.ObjectKey = ""
		j.Submission = &submission
	}
	return j
}

// testOrderDoesNotMatter applies the events of a job in two orders, with duplicates, as those of two jobs.
func testOrderDoesNotMatter(t *suite) {
	store := t.start()
	rapid.Check(t, func(t *rapid.T) {
		id := newID(t)
		history := append(rapid.SliceOfN(update(id), 0, 8).Draw(t, "updates"), submitted(id))
		if rapid.Bool().Draw(t, "ends") {
			history = append(history, end(id).Draw(t, "end"))
		}
		want := fold(id, history...)
		for _, label := range []string{"one", "other"} {
			id = newID(t)
			for _, batch := range batches(t, shuffle(t, history, label)) {
				apply(t, store, readdress(batch, id)...)
			}
			got := read(t, store, id)
			if got.Status.Terminal() {
				got.Attempt = want.Attempt // it depends on whether a later attempt was known when the job ended
			}
			require.Equal(t, contents(want), contents(got))
		}
	})
}

// readdress returns copies of the events for another job.
func readdress(events []job.Event, id uuid.UUID) []job.Event {
	copies := make([]job.Event, len(events))
	for i, event := range events {
		switch e := event.(type) {
		case job.Submitted:
			e.ID = job.ID(id)
			copies[i] = e
		case job.Withdrawn:
			e.ID = job.ID(id)
			copies[i] = e
		case job.AttemptUpdated:
			e.ID = job.ID(id)
			copies[i] = e
		case job.Ended:
			e.ID = job.ID(id)
			copies[i] = e
		}
	}
	return copies
}

// ofSubmission draws the events of one submission under the id of a job.
func ofSubmission(t *rapid.T, id uuid.UUID) []job.Event {
	events := slices.Concat([]job.Event{submitted(id)},
		rapid.SliceOfN(update(id), 0, 5).Draw(t, "updates"), rapid.SliceOfN(end(id), 0, 2).Draw(t, "ends"))
	if rapid.Bool().Draw(t, "withdrawn") {
		events = append(events, withdrawn(id))
	}
	submission := newID(t)
	for i, event := range events {
		events[i] = of(submission, event)
	}
	return events
}

// testSameAsFold applies events of several jobs in batches and compares every outcome and job with the pure fold.
func testSameAsFold(t *suite) {
	store := t.start()
	rapid.Check(t, func(t *rapid.T) {
		var events []job.Event
		jobs := map[uuid.UUID]job.Job{}
		for range rapid.IntRange(1, 3).Draw(t, "jobs") {
			id := newID(t)
			jobs[id] = job.New(id)
			for range rapid.IntRange(1, 2).Draw(t, "submissions") {
				events = append(events, ofSubmission(t, id)...)
			}
		}
		for _, batch := range batches(t, shuffle(t, events, "events")) {
			outcomes := apply(t, store, batch...)
			for i, event := range batch {
				after, change := job.Apply(jobs[event.Job()], event)
				jobs[event.Job()] = after
				require.Equal(t, change.Any, outcomes[i].Changed)
			}
		}
		for id, want := range jobs {
			if !want.Visible() {
				requireNotFound(t, store, id)
				continue
			}
			require.Equal(t, want, read(t, store, id))
		}
	})
}

// testConcurrency applies the events of the same jobs from several goroutines, each event once or twice.
func testConcurrency(t *suite) {
	const replicas, jobs, batch = 4, 100, 50
	stores := t.startReplicas(replicas)
	ids := make([]uuid.UUID, jobs)
	var events []job.Event
	for i := range ids {
		ids[i] = newID(t)
		events = append(events, life(ids[i])...)
	}
	var group errgroup.Group
	changes := make([]map[uuid.UUID]int64, replicas)
	for r, part := range distribute(events, replicas) {
		changes[r] = map[uuid.UUID]int64{}
		group.Go(func() error { return applyCounting(t.Context(), stores[r], slices.Chunk(part, batch), changes[r]) })
	}
	require.NoError(t, group.Wait(), "in particular no deadlock")
	for _, id := range ids {
		found, want := read(t, stores[0], id), fold(id, life(id)...)
		require.Equal(t, contents(want), contents(found))
		var version int64
		for _, byJob := range changes {
			version += byJob[id]
		}
		require.Equal(t, version, found.Version, "every change is counted exactly once")
	}
}

// distribute deals the events in random order to parts, as a queue does, and every tenth to a second one.
func distribute(events []job.Event, parts int) [][]job.Event {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	dealt := make([][]job.Event, parts)
	for _, i := range random.Perm(len(events)) {
		part := random.IntN(parts)
		dealt[part] = append(dealt[part], events[i])
		if random.IntN(10) == 0 {
			other := (part + 1) % parts
			dealt[other] = append(dealt[other], events[i])
		}
	}
	return dealt
}

// applyCounting applies batches and counts the changes of each job.
func applyCounting(
	ctx context.Context, store jobstore.Store, batches iter.Seq[[]job.Event], changes map[uuid.UUID]int64,
) error {
	for batch := range batches {
		outcomes, err := store.Apply(ctx, batch)
		if err != nil {
			return err
		}
		for i, event := range batch {
			if outcomes[i].Changed {
				changes[event.Job()]++
			}
		}
	}
	return nil
}

func testNoEvents(t *suite) {
	store := t.start()
	outcomes, err := store.Apply(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, outcomes)
}

// testRefusedEvent applies an event with a status that does not exist among good ones.
func testRefusedEvent(t *suite) {
	store, first, bad, last := t.start(), newID(t), newID(t), newID(t)
	refused := job.AttemptUpdated{ID: job.ID(bad), Attempt: 1, At: noon, Status: "no-such-status"}
	outcomes, err := store.Apply(t.Context(), []job.Event{
		submitted(first), refused, submitted(bad), refused, succeeded(first, 1, 1), submitted(last),
	})
	require.NoError(t, err)
	require.Len(t, outcomes, 6)
	for i, outcome := range outcomes {
		if i == 1 || i == 3 {
			require.ErrorIs(t, outcome.Refused, jobstore.ErrRefused)
			require.False(t, outcome.Changed)
			continue
		}
		require.Equal(t, jobstore.Outcome{Changed: true}, outcome)
	}
	require.Equal(t, fold(first, submitted(first), succeeded(first, 1, 1)), read(t, store, first))
	require.Equal(t, fold(bad, submitted(bad)), read(t, store, bad), "the refused event has no effect on its job")
	require.Equal(t, fold(last, submitted(last)), read(t, store, last))

	outcomes, err = store.Apply(t.Context(), []job.Event{refused})
	require.NoError(t, err)
	require.Len(t, outcomes, 1)
	require.ErrorIs(t, outcomes[0].Refused, jobstore.ErrRefused, "alone")
}

// testRefusedText applies texts with U+0000 and texts that are not UTF-8. PostgreSQL cannot store them, so no store
// may.
func testRefusedText(t *suite) {
	store := t.start()
	submission := func(change func(*job.Submission)) func(uuid.UUID) job.Event {
		return func(id uuid.UUID) job.Event {
			event := submitted(id).(job.Submitted) //nolint:forcetypeassert // it is one
			change(&event.Submission)
			return event
		}
	}
	ended := func(change func(*job.Ended)) func(uuid.UUID) job.Event {
		return func(id uuid.UUID) job.Event {
			event := succeeded(id, 1, 1).(job.Ended) //nolint:forcetypeassert // it is one
			change(&event)
			return event
		}
	}
	for name, bad := range map[string]func(uuid.UUID) job.Event{
		"U+0000 in a filename": submission(func(s *job.Submission) { s.Filename = "a\x00b" }),
		"U+0000 in an option":  submission(func(s *job.Submission) { s.Options = map[string]any{"pages": "\\\x00"} }),
		"invalid tag":          submission(func(s *job.Submission) { s.Tag = "a\xffb" }),
		"U+0000 in a key":      ended(func(e *job.Ended) { e.Result = &job.Result{ObjectKey: "\x00"} }),
		"U+0000 in a warning":  ended(func(e *job.Ended) { e.Warnings = []job.Warning{{Detail: "\x00"}} }),
		"U+0000 in a report":   ended(func(e *job.Ended) { e.Report = &job.Report{Engine: "\x00"} }),
		"U+0000 in a failure": func(id uuid.UUID) job.Event {
			failure := &job.Failure{Code: "c", Detail: "\x00"}
			return job.Ended{ID: job.ID(id), Status: job.Failed, FinishedAt: noon, Failure: failure}
		},
	} {
		id, other := newID(t), newID(t)
		outcomes, err := store.Apply(t.Context(), []job.Event{bad(id), submitted(other)})
		require.NoError(t, err, name)
		require.ErrorIs(t, outcomes[0].Refused, jobstore.ErrRefused, name)
		require.Equal(t, jobstore.Outcome{Changed: true}, outcomes[1], name)
		requireNotFound(t, store, id)
		require.Equal(t, fold(other, submitted(other)), read(t, store, other))
	}
}

func testCanceledContext(t *suite) {
	store, id, other := t.start(), newID(t), newID(t)
	apply(t, store, submitted(id))
	t.database.Backdate(t, time.Hour, id)
	advance(t, store)
	before, err := store.Watermark(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	requireContextError(t, second(store.Now(ctx)), context.Canceled)
	requireContextError(t, second(store.Watermark(ctx)), context.Canceled)
	requireContextError(t, store.Advance(ctx, before.Add(time.Hour)), context.Canceled)
	requireContextError(t, second(store.Job(ctx, id)), context.Canceled)
	requireContextError(t, second(store.Job(ctx, other)), context.Canceled)
	requireContextError(t, second(store.Apply(ctx, []job.Event{started(id, 1, 1), submitted(other)})), context.Canceled)
	requireContextError(t, second(store.Expire(ctx, time.Minute, 10, exhausted)), context.Canceled)
	require.Equal(t, fold(id, submitted(id)), read(t, store, id))
	requireNotFound(t, store, other)
	requireWatermark(t, store, before)
}

func second[T any](_ T, err error) error { return err }

func requireContextError(t testingT, err, want error) {
	t.Helper()
	require.ErrorIs(t, err, want)
	require.NotErrorIs(t, err, jobstore.ErrNotFound)
	require.NotErrorIs(t, err, jobstore.ErrRefused)
}

// testTimeoutWhileBlocked applies an event to a job while another transaction has it locked.
func testTimeoutWhileBlocked(t *suite) {
	stores, id := t.startReplicas(2), newID(t)
	apply(t, stores[0], submitted(id))
	t.database.Backdate(t, time.Hour, id)
	advance(t, stores[0])
	locked, release := make(chan struct{}), make(chan struct{})
	expired := make(chan error, 1)
	go func() {
		_, err := stores[0].Expire(t.Context(), time.Minute, 1, func(j job.Job) job.Event {
			close(locked)
			<-release
			return exhausted(j)
		})
		expired <- err
	}()
	<-locked
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	applied := make(chan error, 1)
	go func() {
		_, err := stores[1].Apply(ctx, []job.Event{started(id, 1, 1)})
		applied <- err
	}()
	select {
	case err := <-applied:
		close(release)
		requireContextError(t, err, context.DeadlineExceeded)
	case <-time.After(Patience):
		close(release)
		require.Fail(t, "Apply does not end with its context")
	}
	require.NoError(t, <-expired)
	require.Equal(t, fold(id, submitted(id), exhausted(job.New(id))), read(t, stores[0], id))
}
