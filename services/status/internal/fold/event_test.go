package fold_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/services/status/internal/fold"
)

// noon is the time that tests count from.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var (
	id        = fold.JobID(uuid.MustParse("01981c7e-0000-7000-8000-000000000001"))
	submitted = fold.Submitted{JobID: id, Submission: fold.Submission{RequestedAt: noon, Filename: "deck.pptx", TargetFormat: "pdf"}}
)

func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

func started(attempt int32, seconds int) fold.Event {
	return fold.Moved{JobID: id, Attempt: attempt, At: at(seconds), Begins: true, Status: jobapi.Running}
}

func progressed(attempt int32, seconds int, percent int32) fold.Event {
	return fold.Moved{JobID: id, Attempt: attempt, At: at(seconds), Status: jobapi.Running, Phase: fold.Converting, Percent: percent}
}

func retried(attempt int32, seconds int) fold.Event {
	return fold.Moved{JobID: id, Attempt: attempt, At: at(seconds), Status: jobapi.Queued}
}

func succeeded(attempt int32, seconds int) fold.Event {
	return fold.Ended{
		JobID: id, Attempt: attempt, StartedAt: at(seconds - 1), FinishedAt: at(seconds),
		Result: &fold.Result{ObjectKey: "key", ContentType: "application/pdf", Size: int64(attempt), Pages: 8},
	}
}

func failed(attempt int32, seconds int) fold.Event {
	return fold.Ended{
		JobID: id, Attempt: attempt, StartedAt: at(seconds - 1), FinishedAt: at(seconds),
		Failure: &fold.Failure{Code: "document-malformed"},
	}
}

func after(events ...fold.Event) fold.Job {
	j := fold.New(uuid.UUID(id))
	for _, event := range events {
		j, _ = fold.Apply(j, event)
	}
	return j
}

func TestApply(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		events  []fold.Event
		status  jobapi.Status
		attempt int32
		percent int32
		started time.Time
		version int64
		hidden  bool
	}{
		"a submission": {events: []fold.Event{submitted}, status: jobapi.Queued, version: 1},
		"a usual life": {
			events: []fold.Event{submitted, started(1, 1), progressed(1, 2, 40), succeeded(1, 3)},
			status: jobapi.Succeeded, attempt: 1, started: at(2), version: 4,
		},
		"the submission is late":      {events: []fold.Event{started(1, 1), submitted}, status: jobapi.Running, attempt: 1, started: at(1), version: 2},
		"the submission is last":      {events: []fold.Event{failed(1, 1), submitted}, status: jobapi.Failed, attempt: 1, started: at(0), version: 2},
		"the submission never came":   {events: []fold.Event{started(1, 1), failed(1, 2)}, status: jobapi.Failed, attempt: 1, started: at(1), version: 2, hidden: true},
		"a duplicate changes nothing": {events: []fold.Event{submitted, submitted, started(1, 1), started(1, 1)}, status: jobapi.Running, attempt: 1, started: at(1), version: 2},
		"the start is late":           {events: []fold.Event{submitted, progressed(1, 2, 40), started(1, 1)}, status: jobapi.Running, attempt: 1, percent: 40, started: at(1), version: 3},
		"progress is late":            {events: []fold.Event{submitted, progressed(1, 2, 40), progressed(1, 1, 10)}, status: jobapi.Running, attempt: 1, percent: 40, version: 2},
		"a worker died and another one begins again": {
			events: []fold.Event{submitted, started(1, 1), progressed(1, 2, 40), started(1, 9)}, status: jobapi.Running, attempt: 1, started: at(9), version: 4,
		},
		"a retry waits":                {events: []fold.Event{submitted, started(1, 1), retried(1, 2)}, status: jobapi.Queued, attempt: 1, started: at(1), version: 3},
		"the second attempt runs":      {events: []fold.Event{submitted, started(1, 1), retried(1, 2), started(2, 12)}, status: jobapi.Running, attempt: 2, started: at(12), version: 4},
		"the first attempt is late":    {events: []fold.Event{submitted, started(2, 12), started(1, 1), progressed(1, 99, 99), retried(1, 99)}, status: jobapi.Running, attempt: 2, started: at(12), version: 2},
		"an older attempt's time goes": {events: []fold.Event{submitted, started(1, 1), progressed(2, 12, 5)}, status: jobapi.Running, attempt: 2, percent: 5, version: 3},
		"an end is not left":           {events: []fold.Event{submitted, succeeded(1, 2), started(2, 9), retried(2, 10), progressed(3, 11, 1)}, status: jobapi.Succeeded, attempt: 1, started: at(1), version: 2},
		"the first end wins":           {events: []fold.Event{submitted, succeeded(1, 2), failed(2, 3)}, status: jobapi.Succeeded, attempt: 1, started: at(1), version: 2},
		"an older attempt's end wins":  {events: []fold.Event{submitted, started(2, 2), succeeded(1, 3)}, status: jobapi.Succeeded, attempt: 1, started: at(2), version: 3},
		"an end from outside": {
			events: []fold.Event{submitted, started(3, 2), fold.Ended{JobID: id, FinishedAt: at(5), Failure: &fold.Failure{Code: "attempts-exhausted"}}},
			status: jobapi.Failed, attempt: 3, started: at(2), version: 3,
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

func TestApplyTellsStateFromProgress(t *testing.T) {
	t.Parallel()
	j := fold.New(uuid.UUID(id))
	for i, step := range []struct {
		event fold.Event
		want  fold.Change
	}{
		{started(1, 1), fold.Change{Any: true, State: true}},
		{submitted, fold.Change{Any: true, State: true}},
		{submitted, fold.Change{}},
		{progressed(1, 2, 10), fold.Change{Any: true}},
		{retried(1, 3), fold.Change{Any: true, State: true}},
		{started(2, 4), fold.Change{Any: true, State: true}},
		{started(1, 1), fold.Change{}},
		{failed(2, 5), fold.Change{Any: true, State: true}},
		{succeeded(2, 6), fold.Change{}},
	} {
		var change fold.Change
		j, change = fold.Apply(j, step.event)
		require.Equal(t, step.want, change, "step %d", i)
	}
}

// move draws any event that does not end a job.
func move() *rapid.Generator[fold.Event] {
	return rapid.Custom(func(t *rapid.T) fold.Event {
		attempt, seconds := rapid.Int32Range(1, 3).Draw(t, "attempt"), rapid.IntRange(0, 5).Draw(t, "seconds")
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			return started(attempt, seconds)
		case 1:
			return progressed(attempt, seconds, rapid.Int32Range(0, 100).Draw(t, "percent"))
		default:
			return retried(attempt, seconds)
		}
	})
}

func end() *rapid.Generator[fold.Event] {
	return rapid.Custom(func(t *rapid.T) fold.Event {
		attempt, seconds := rapid.Int32Range(1, 3).Draw(t, "attempt"), rapid.IntRange(0, 5).Draw(t, "seconds")
		if rapid.Bool().Draw(t, "succeeds") {
			return succeeded(attempt, seconds)
		}
		return failed(attempt, seconds)
	})
}

// disturbed draws a permutation of the events, with some of them twice.
func disturbed(t *rapid.T, events []fold.Event, label string) []fold.Event {
	again := rapid.SliceOfN(rapid.SampledFrom(events), 0, len(events)).Draw(t, label+" duplicates")
	return rapid.Permutation(slices.Concat(events, again)).Draw(t, label)
}

// contents is a job without its version, which counts how it got there.
func contents(j fold.Job) fold.Job {
	j.Version = 0
	return j
}

func TestEveryOrderOfAJobsEventsComesToTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		history := append(rapid.SliceOfN(move(), 0, 8).Draw(t, "moves"), submitted)
		if rapid.Bool().Draw(t, "ends") {
			history = append(history, end().Draw(t, "end"))
		}
		one, other := after(disturbed(t, history, "one")...), after(disturbed(t, history, "other")...)
		require.Equal(t, contents(one), contents(other))
	})
}

func TestEndsAreNeverLeftAndVersionsCountChanges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		history := slices.Concat(rapid.SliceOfN(move(), 0, 8).Draw(t, "moves"), rapid.SliceOfN(end(), 1, 3).Draw(t, "ends"), []fold.Event{submitted})
		j := fold.New(uuid.UUID(id))
		for _, event := range disturbed(t, history, "events") {
			before := j
			var change fold.Change
			j, change = fold.Apply(j, event)
			require.Equal(t, change.Any, j.Version == before.Version+1)
			require.Equal(t, change.Any, !equal(contents(before), contents(j)))
			if !change.Any {
				require.Equal(t, before, j)
			}
			if before.Status.Terminal() {
				j.Submission = before.Submission
				require.Equal(t, contents(before), contents(j), "only the submission may be added to what has ended")
				j, _ = fold.Apply(before, event)
			}
		}
		require.True(t, j.Status.Terminal())
		require.True(t, j.Visible())
		again := j
		for _, event := range history {
			again, _ = fold.Apply(again, event)
		}
		require.Equal(t, j, again, "all of it once more changes nothing")
	})
}

func equal(a, b fold.Job) bool {
	return a.Status == b.Status && a.Attempt == b.Attempt && a.MovedAt.Equal(b.MovedAt) && a.Phase == b.Phase && a.Percent == b.Percent &&
		a.StartedAt.Equal(b.StartedAt) && a.FinishedAt.Equal(b.FinishedAt) && a.Result == b.Result && a.Failure == b.Failure &&
		(a.Submission == nil) == (b.Submission == nil)
}
