package job_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoregistry"
	"pgregory.net/rapid"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/status/job"
)

// noon is the reference time of the tests.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var (
	id        = job.ID(uuid.MustParse("01981c7e-0000-7000-8000-000000000001"))
	submitted = job.Submitted{ID: id, Submission: job.Submission{
		RequestedAt: noon, Filename: "deck.pptx", TargetFormat: "pdf",
	}}
)

var withdrawn = job.Withdrawn{ID: id}

func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

func started(attempt int32, seconds int) job.Event {
	return job.AttemptUpdated{ID: id, Attempt: attempt, At: at(seconds), Starts: true, Status: job.Running}
}

func progressed(attempt int32, seconds int, percent int32) job.Event {
	return job.AttemptUpdated{
		ID: id, Attempt: attempt, At: at(seconds), Status: job.Running, Phase: job.Converting, Percent: percent,
	}
}

func retried(attempt int32, seconds int) job.Event {
	return job.AttemptUpdated{ID: id, Attempt: attempt, At: at(seconds), Status: job.Queued, Retry: waiting(seconds, "store-unavailable")}
}

func waiting(seconds int, code string) *job.Retry {
	return &job.Retry{Failure: job.Failure{Code: code, Detail: "It did not answer.", Retryable: true}, NextAttemptAt: at(seconds + 10)}
}

func succeeded(attempt int32, seconds int) job.Event {
	return job.Ended{
		ID: id, Status: job.Succeeded, Attempt: attempt, StartedAt: at(seconds - 1), FinishedAt: at(seconds),
		Result: &job.Result{ObjectKey: "key", ContentType: "application/pdf", Size: int64(attempt), Pages: 8},
	}
}

func failed(attempt int32, seconds int) job.Event {
	return job.Ended{
		ID: id, Status: job.Failed, Attempt: attempt, StartedAt: at(seconds - 1), FinishedAt: at(seconds),
		Failure: &job.Failure{Code: "document-malformed"},
	}
}

func canceled(attempt int32, seconds int) job.Event {
	return job.Ended{ID: id, Status: job.Canceled, Attempt: attempt, StartedAt: at(seconds - 1), FinishedAt: at(seconds)}
}

func after(events ...job.Event) job.Job {
	j := job.New(uuid.UUID(id))
	for _, event := range events {
		j, _ = job.Apply(j, event)
	}
	return j
}

func TestApply(t *testing.T) {
	t.Parallel()
	exhausted := job.Ended{
		ID: id, Status: job.Failed, FinishedAt: at(5), Failure: &job.Failure{Code: "attempts-exhausted"},
	}
	tests := map[string]struct {
		events  []job.Event
		status  job.Status
		attempt int32
		percent int32
		started time.Time
		version int64
		hidden  bool
	}{
		"submission": {events: []job.Event{submitted}, status: job.Queued, version: 1},
		"usual life": {
			events: []job.Event{submitted, started(1, 1), progressed(1, 2, 40), succeeded(1, 3)},
			status: job.Succeeded, attempt: 1, started: at(2), version: 4,
		},
		"late submission": {
			events: []job.Event{started(1, 1), submitted},
			status: job.Running, attempt: 1, started: at(1), version: 2,
		},
		"submission after the end": {
			events: []job.Event{failed(1, 1), submitted},
			status: job.Failed, attempt: 1, started: at(0), version: 2,
		},
		"missing submission": {
			events: []job.Event{started(1, 1), failed(1, 2)},
			status: job.Failed, attempt: 1, started: at(1), version: 2, hidden: true,
		},
		"duplicates have no effect": {
			events: []job.Event{submitted, submitted, started(1, 1), started(1, 1)},
			status: job.Running, attempt: 1, started: at(1), version: 2,
		},
		"late start": {
			events: []job.Event{submitted, progressed(1, 2, 40), started(1, 1)},
			status: job.Running, attempt: 1, percent: 40, started: at(1), version: 3,
		},
		"late progress": {
			events: []job.Event{submitted, progressed(1, 2, 40), progressed(1, 1, 10)},
			status: job.Running, attempt: 1, percent: 40, version: 2,
		},
		"a worker died and another one starts again": {
			events: []job.Event{submitted, started(1, 1), progressed(1, 2, 40), started(1, 9)},
			status: job.Running, attempt: 1, started: at(9), version: 4,
		},
		"waiting for a retry": {
			events: []job.Event{submitted, started(1, 1), retried(1, 2)},
			status: job.Queued, attempt: 1, started: at(1), version: 3,
		},
		"second attempt runs": {
			events: []job.Event{submitted, started(1, 1), retried(1, 2), started(2, 12)},
			status: job.Running, attempt: 2, started: at(12), version: 4,
		},
		"late first attempt": {
			events: []job.Event{submitted, started(2, 12), started(1, 1), progressed(1, 99, 99), retried(1, 99)},
			status: job.Running, attempt: 2, started: at(12), version: 2,
		},
		"start of an earlier attempt is dropped": {
			events: []job.Event{submitted, started(1, 1), progressed(2, 12, 5)},
			status: job.Running, attempt: 2, percent: 5, version: 3,
		},
		"an end is never left": {
			events: []job.Event{submitted, succeeded(1, 2), started(2, 9), retried(2, 10), progressed(3, 11, 1)},
			status: job.Succeeded, attempt: 1, started: at(1), version: 2,
		},
		"the first end wins": {
			events: []job.Event{submitted, succeeded(1, 2), failed(2, 3)},
			status: job.Succeeded, attempt: 1, started: at(1), version: 2,
		},
		"the end of an earlier attempt wins": {
			events: []job.Event{submitted, started(2, 2), succeeded(1, 3)},
			status: job.Succeeded, attempt: 2, started: at(2), version: 3,
		},
		"withdrawn submission": {
			events: []job.Event{submitted, withdrawn, withdrawn},
			status: job.Queued, version: 2, hidden: true,
		},
		"withdrawn before its submission": {
			events: []job.Event{withdrawn, submitted, submitted},
			status: job.Queued, version: 2, hidden: true,
		},
		"a started job is not withdrawn": {
			events: []job.Event{submitted, started(1, 1), withdrawn},
			status: job.Running, attempt: 1, started: at(1), version: 2,
		},
		"a withdrawn job has started after all": {
			events: []job.Event{withdrawn, submitted, started(1, 1)},
			status: job.Running, attempt: 1, started: at(1), version: 3,
		},
		"an ended job is not withdrawn": {
			events: []job.Event{submitted, exhausted, withdrawn},
			status: job.Failed, version: 2,
		},
		"a withdrawn job has ended after all": {
			events: []job.Event{withdrawn, submitted, exhausted},
			status: job.Failed, version: 3,
		},
		"an end that does not come from an attempt": {
			events: []job.Event{submitted, started(3, 2), exhausted},
			status: job.Failed, attempt: 3, started: at(2), version: 3,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := after(test.events...)
			require.Equal(t, test.status, j.Status)
			require.Equal(t, test.attempt, j.Attempt)
			require.Equal(t, test.percent, j.Percent)
			require.Equal(t, test.started, j.StartedAt)
			require.Equal(t, test.version, j.Version)
			require.Equal(t, !test.hidden, j.Visible())
		})
	}
}

// TestRetryIsShownWhileTheJobWaits: the job shows the failure of its last attempt, and of no earlier one, until the next attempt
// starts or the job ends.
func TestRetryIsShownWhileTheJobWaits(t *testing.T) {
	t.Parallel()
	dead := job.Fail(uuid.UUID(id), 0, 1, problem.New(problem.AttemptsExhausted, "It was dead-lettered."))
	for name, test := range map[string]struct {
		events  []job.Event
		attempt int32
		want    *job.Retry
	}{
		"no attempt has failed":        {[]job.Event{submitted, started(1, 1)}, 1, nil},
		"the attempt has failed":       {[]job.Event{submitted, started(1, 1), retried(1, 2)}, 1, waiting(2, "store-unavailable")},
		"its start is late":            {[]job.Event{submitted, retried(1, 2), started(1, 1)}, 1, waiting(2, "store-unavailable")},
		"the next one has started":     {[]job.Event{submitted, retried(1, 2), started(2, 12)}, 2, nil},
		"the failure is late":          {[]job.Event{submitted, started(2, 12), retried(1, 2)}, 2, nil},
		"the next one has failed too":  {[]job.Event{submitted, retried(2, 13), retried(1, 2)}, 2, waiting(13, "store-unavailable")},
		"the job has ended":            {[]job.Event{submitted, retried(1, 2), succeeded(2, 13), retried(2, 14)}, 2, nil},
		"its command was dead":         {[]job.Event{submitted, retried(5, 2), dead}, 5, nil},
		"an abandoned attempt is anew": {[]job.Event{submitted, retried(1, 2), started(1, 3)}, 1, nil},
	} {
		j := after(test.events...)
		require.Equal(t, test.want, j.Retry, name)
		require.Equal(t, test.attempt, j.Attempt, name)
	}
}

func TestApplyDistinguishesStateFromProgress(t *testing.T) {
	t.Parallel()
	j := job.New(uuid.UUID(id))
	for i, step := range []struct {
		event job.Event
		want  job.Change
	}{
		{started(1, 1), job.Change{Any: true, State: true}},
		{submitted, job.Change{Any: true, State: true}},
		{submitted, job.Change{}},
		{progressed(1, 2, 10), job.Change{Any: true}},
		{retried(1, 3), job.Change{Any: true, State: true}},
		{retried(1, 3), job.Change{}},
		{retried(1, 4), job.Change{Any: true, State: true}},
		{started(2, 5), job.Change{Any: true, State: true}},
		{started(1, 1), job.Change{}},
		{failed(2, 6), job.Change{Any: true, State: true}},
		{succeeded(2, 7), job.Change{}},
	} {
		var change job.Change
		j, change = job.Apply(j, step.event)
		require.Equal(t, step.want, change, "step %d", i)
	}
}

// updates make the events that do not end a job, ends those that do. The tests of properties draw from them.
var (
	updates = []func(attempt int32, seconds int, percent int32) job.Event{
		func(attempt int32, seconds int, _ int32) job.Event { return started(attempt, seconds) },
		progressed,
		func(attempt int32, seconds int, percent int32) job.Event {
			event := retried(attempt, seconds).(job.AttemptUpdated)
			switch percent % 3 { // two events with the same time may differ
			case 0:
				event.Retry = nil
			case 1:
				event.Retry = waiting(seconds, "internal")
			}
			return event
		},
	}
	ends = []func(attempt int32, seconds int) job.Event{succeeded, failed, canceled}
)

// TestEveryEventIsDrawn requires that the tests of properties draw every event that a message can describe.
func TestEveryEventIsDrawn(t *testing.T) {
	t.Parallel()
	drawn := []string{kindOf(submitted), kindOf(withdrawn)}
	for _, event := range updates {
		drawn = append(drawn, kindOf(event(1, 1, 1)))
	}
	for _, event := range ends {
		drawn = append(drawn, kindOf(event(1, 1)))
	}
	for _, name := range eventMessages() {
		kind, err := protoregistry.GlobalTypes.FindMessageByName(name)
		require.NoError(t, err)
		filled := kind.New()
		fill(filled)
		event, err := job.Read(filled.Interface())
		require.NoError(t, err)
		require.Contains(t, drawn, kindOf(event), "%s: add its event to updates or ends", name)
	}
}

// kindOf returns the type of an event and the status that it leads to.
func kindOf(event job.Event) string {
	return fmt.Sprintf("%T to %s", event, after(event).Status)
}

// update draws an event that does not end the job.
func update() *rapid.Generator[job.Event] {
	return rapid.Custom(func(t *rapid.T) job.Event {
		attempt, seconds := rapid.Int32Range(1, 3).Draw(t, "attempt"), rapid.IntRange(0, 5).Draw(t, "seconds")
		percent := rapid.Int32Range(0, 100).Draw(t, "percent")
		return updates[rapid.IntRange(0, len(updates)-1).Draw(t, "kind")](attempt, seconds, percent)
	})
}

func end() *rapid.Generator[job.Event] {
	return rapid.Custom(func(t *rapid.T) job.Event {
		attempt, seconds := rapid.Int32Range(1, 3).Draw(t, "attempt"), rapid.IntRange(0, 5).Draw(t, "seconds")
		return ends[rapid.IntRange(0, len(ends)-1).Draw(t, "kind")](attempt, seconds)
	})
}

// shuffle draws a permutation of the events, with some of them twice.
func shuffle(t *rapid.T, events []job.Event, label string) []job.Event {
	again := rapid.SliceOfN(rapid.SampledFrom(events), 0, len(events)).Draw(t, label+" duplicates")
	return rapid.Permutation(slices.Concat(events, again)).Draw(t, label)
}

// contents returns the job without its version, which depends on the order of the events.
func contents(j job.Job) job.Job {
	j.Version = 0
	return j
}

func TestOrderOfEventsDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		history := append(rapid.SliceOfN(update(), 0, 8).Draw(t, "updates"), submitted)
		if rapid.Bool().Draw(t, "withdrawn") {
			history = append(history, withdrawn)
		}
		if rapid.Bool().Draw(t, "ends") {
			history = append(history, end().Draw(t, "end"))
		}
		one, other := after(shuffle(t, history, "one")...), after(shuffle(t, history, "other")...)
		if one.Status.Terminal() {
			other.Attempt = one.Attempt // it depends on whether a later attempt was known when the job ended
		}
		require.Equal(t, contents(one), contents(other))
	})
}

func TestEndIsFinalAndVersionCountsChanges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		history := slices.Concat(
			rapid.SliceOfN(update(), 0, 8).Draw(t, "updates"),
			rapid.SliceOfN(end(), 1, 3).Draw(t, "ends"),
			[]job.Event{submitted, withdrawn},
		)
		j := job.New(uuid.UUID(id))
		for _, event := range shuffle(t, history, "events") {
			before := j
			var change job.Change
			j, change = job.Apply(j, event)
			require.Equal(t, change.Any, j.Version == before.Version+1)
			require.Equal(t, change.Any, !equal(contents(before), contents(j)))
			if !change.Any {
				require.Equal(t, before, j)
			}
			if before.Status.Terminal() {
				j.Submission = before.Submission
				require.Equal(t, contents(before), contents(j), "only the submission may be added after the end")
				j, _ = job.Apply(before, event)
			}
		}
		require.True(t, j.Status.Terminal())
		require.True(t, j.Visible())
		again := j
		for _, event := range history {
			again, _ = job.Apply(again, event)
		}
		require.Equal(t, j, again, "a redelivery of everything has no effect")
	})
}

func equal(a, b job.Job) bool {
	return a.Status == b.Status && a.Attempt == b.Attempt && a.UpdatedAt.Equal(b.UpdatedAt) && a.Phase == b.Phase &&
		a.Percent == b.Percent && a.StartedAt.Equal(b.StartedAt) && a.FinishedAt.Equal(b.FinishedAt) &&
		a.Withdrawn == b.Withdrawn && a.Result == b.Result && a.Failure == b.Failure && (a.Submission == nil) == (b.Submission == nil) &&
		a.SubmissionID == b.SubmissionID && a.Retry == b.Retry
}

// of returns the event as one of a submission.
func of(submission uuid.UUID, event job.Event) job.Event {
	switch e := event.(type) {
	case job.Submitted:
		e.SubmissionID = submission
		e.Submission.Filename = submission.String()
		return e
	case job.Withdrawn:
		e.SubmissionID = submission
		return e
	case job.AttemptUpdated:
		e.SubmissionID = submission
		return e
	case job.Ended:
		e.SubmissionID = submission
		return e
	default:
		return event
	}
}

func submissionOf(event job.Event) uuid.UUID {
	switch e := event.(type) {
	case job.Submitted:
		return e.SubmissionID
	case job.Withdrawn:
		return e.SubmissionID
	case job.AttemptUpdated:
		return e.SubmissionID
	case job.Ended:
		return e.SubmissionID
	default:
		return uuid.Nil
	}
}

var (
	one   = uuid.MustParse("00000000-0000-4000-8000-000000000001")
	other = uuid.MustParse("00000000-0000-4000-8000-000000000002")
)

func TestSubmissions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		events   []job.Event
		recorded uuid.UUID
		status   job.Status
		attempt  int32
		hidden   bool
	}{
		"the first submission is shown": {
			events:   []job.Event{of(one, submitted), of(other, submitted)},
			recorded: one, status: job.Queued,
		},
		"the first submission that is attempted stays": {
			events: []job.Event{
				of(one, submitted), of(other, submitted), of(other, started(1, 1)), of(one, started(2, 2)), of(one, succeeded(2, 3)),
			},
			recorded: other, status: job.Running, attempt: 1,
		},
		"an end of another submission has no effect": {
			events:   []job.Event{of(one, submitted), of(one, started(1, 1)), of(other, submitted), of(other, failed(2, 1))},
			recorded: one, status: job.Running, attempt: 1,
		},
		"a late end of another submission has no effect": {
			events:   []job.Event{of(one, succeeded(1, 1)), of(one, submitted), of(other, submitted), of(other, failed(2, 1))},
			recorded: one, status: job.Succeeded, attempt: 1,
		},
		"an end waits for its submission": {
			events:   []job.Event{of(one, failed(1, 1)), of(other, succeeded(2, 2)), of(other, submitted), of(one, submitted)},
			recorded: other, status: job.Succeeded, attempt: 2,
		},
		"nothing is known about the submission that is recorded": {
			events:   []job.Event{of(one, failed(1, 1)), of(other, submitted)},
			recorded: other, status: job.Queued,
		},
		"an end that names no submission": {
			events:   []job.Event{of(one, started(1, 1)), of(other, started(2, 1)), failed(3, 2), of(other, submitted)},
			recorded: other, status: job.Failed, attempt: 3,
		},
		"a withdrawn submission makes room": {
			events:   []job.Event{of(one, submitted), of(one, withdrawn), of(other, submitted)},
			recorded: other, status: job.Queued,
		},
		"a submission that is withdrawn late makes room": {
			events:   []job.Event{of(one, submitted), of(other, submitted), of(one, withdrawn)},
			recorded: other, status: job.Queued,
		},
		"a withdrawal does not hide another submission": {
			events:   []job.Event{of(one, submitted), of(other, withdrawn), of(other, submitted)},
			recorded: one, status: job.Queued,
		},
		"all are withdrawn": {
			events:   []job.Event{of(one, submitted), of(other, submitted), of(other, withdrawn), of(one, withdrawn)},
			recorded: one, status: job.Queued, hidden: true,
		},
		"a submission that an older replica has recorded without its id": {
			events:   []job.Event{submitted, of(one, started(1, 1)), of(other, failed(1, 1)), of(one, succeeded(1, 2))},
			recorded: one, status: job.Succeeded, attempt: 1,
		},
		"a submission of an older gateway": {
			events: []job.Event{started(1, 1), submitted, failed(1, 2)},
			status: job.Failed, attempt: 1,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := after(test.events...)
			require.Equal(t, test.recorded, j.SubmissionID)
			require.Equal(t, test.status, j.Status)
			require.Equal(t, test.attempt, j.Attempt)
			require.Equal(t, !test.hidden, j.Visible())
		})
	}
}

// ofSubmissions draws the events of several submissions under one id.
func ofSubmissions(t *rapid.T) []job.Event {
	var history []job.Event
	for _, submission := range []uuid.UUID{one, other, uuid.MustParse("00000000-0000-4000-8000-000000000003")} {
		events := slices.Concat(
			[]job.Event{submitted},
			rapid.SliceOfN(update(), 0, 4).Draw(t, "updates"), rapid.SliceOfN(end(), 0, 2).Draw(t, "ends"),
		)
		if rapid.Bool().Draw(t, "withdrawn") {
			events = append(events, withdrawn)
		}
		for _, event := range events {
			history = append(history, of(submission, event))
		}
	}
	return shuffle(t, history, "events")
}

// TestJobIsThatOfOneSubmission: in any order, the job is the fold of the events of one submission, as if there were no
// other one. It is one that clients see if there is any, and stays the same once it was attempted.
func TestJobIsThatOfOneSubmission(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		j := job.New(uuid.UUID(id))
		own := map[uuid.UUID]job.Job{}
		for i, event := range ofSubmissions(t) {
			before := j
			var change job.Change
			j, change = job.Apply(j, event)
			require.Equal(t, change.Any, j.Version == before.Version+1)
			submission, found := own[submissionOf(event)]
			if !found {
				submission = job.New(uuid.UUID(id))
			}
			own[submissionOf(event)], _ = job.Apply(submission, event)

			require.Equal(t, own[j.SubmissionID].Record, j.Record, "step %d", i)
			if before.Visible() {
				require.True(t, j.Visible() || submissionOf(event) == before.SubmissionID, "step %d", i)
				if before.Attempt > 0 || before.Status.Terminal() {
					require.Equal(t, before.SubmissionID, j.SubmissionID, "step %d", i)
				}
			}
			for _, alone := range own {
				require.True(t, j.Visible() || !alone.Visible(), "step %d", i)
				require.True(t, j.Attempt > 0 || j.Status.Terminal() || !alone.Visible() || alone.Attempt == 0 && !alone.Status.Terminal(),
					"step %d: a submission is converted, and another one, which may never be, is shown", i)
			}
		}
		require.Equal(t, j.SubmissionID.String(), j.Submission.Filename)
	})
}
