package storetest

import (
	"bytes"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/docmill/docmill/services/status/job"
)

// noon is the reference time of the events.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

func newID(t testingT) uuid.UUID {
	t.Helper()
	id, err := uuid.NewV7()
	require.NoError(t, err)
	return id
}

func submitted(id uuid.UUID) job.Event {
	return job.Submitted{ID: job.ID(id), Submission: job.Submission{
		RequestedAt: noon, ObjectKey: id.String(),
		Filename: "Vorträge – 講演.pptx", Format: "pptx", ContentType: "application/x",
		Size: 5 << 30, SHA256: bytes.Repeat([]byte{7}, 32), TargetFormat: "pdf", Tag: "mine",
		Options: map[string]any{"pages": "1-3", "pdf_ua": true, "image_quality": 80.0},
	}}
}

func withdrawn(id uuid.UUID) job.Event { return job.Withdrawn{ID: job.ID(id)} }

func started(id uuid.UUID, attempt int32, seconds int) job.Event {
	return job.AttemptUpdated{ID: job.ID(id), Attempt: attempt, At: at(seconds), Starts: true, Status: job.Running}
}

func progressed(id uuid.UUID, attempt int32, seconds int, percent int32) job.Event {
	return job.AttemptUpdated{
		ID: job.ID(id), Attempt: attempt, At: at(seconds), Status: job.Running, Phase: job.Converting, Percent: percent,
	}
}

func retried(id uuid.UUID, attempt int32, seconds int) job.Event {
	return job.AttemptUpdated{ID: job.ID(id), Attempt: attempt, At: at(seconds), Status: job.Queued, Retry: &job.Retry{
		Failure:       job.Failure{Code: "store-unavailable", Detail: "It did not answer – 5 s.", Retryable: true},
		NextAttemptAt: at(seconds + 10).Add(time.Microsecond),
	}}
}

func succeeded(id uuid.UUID, attempt int32, seconds int) job.Event {
	return job.Ended{
		ID: job.ID(id), Status: job.Succeeded, Attempt: attempt,
		StartedAt: at(seconds - 1), FinishedAt: at(seconds).Add(time.Microsecond),
		Result: &job.Result{
			ObjectKey: "r", ContentType: "application/pdf", Size: int64(attempt), SHA256: bytes.Repeat([]byte{8}, 32), Pages: 8,
		},
		Warnings: []job.Warning{{Code: "font-substituted", Detail: "A → B"}}, Report: report(),
	}
}

func failed(id uuid.UUID, attempt int32, seconds int) job.Event {
	return job.Ended{
		ID: job.ID(id), Status: job.Failed, Attempt: attempt, StartedAt: at(seconds - 1), FinishedAt: at(seconds),
		Failure: &job.Failure{Code: "engine-crashed", Detail: "It crashed.", Retryable: true}, Report: report(),
	}
}

func report() *job.Report {
	load := 0.062
	return &job.Report{
		Engine: "LibreOffice 7.4.7.2", Seconds: job.Seconds{Load: &load},
		Fonts:        []job.Font{{Name: "A", ReplacedBy: "B", SameMetrics: true}, {Name: "C", Found: true}},
		BlockedLinks: []string{"http://example.com/x"}, BlockedLinksTotal: 1, MacrosBlocked: true, HiddenSlidesLeftOut: 2,
		MissingCharacters: "가나", MissingCharactersTotal: 3,
	}
}

// life returns the events of a job that succeeds at the second attempt.
func life(id uuid.UUID) []job.Event {
	return []job.Event{
		submitted(id), started(id, 1, 1), progressed(id, 1, 2, 40), retried(id, 1, 3),
		started(id, 2, 13), succeeded(id, 2, 14),
	}
}

// of returns the event as one of a submission, whose document has a name of its own.
func of(submission uuid.UUID, event job.Event) job.Event {
	switch e := event.(type) {
	case job.Submitted:
		e.SubmissionID, e.Submission.Filename = submission, submission.String()
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

// exhausted is the end of a job that has exceeded its deadline.
func exhausted(j job.Job) job.Event {
	return job.Ended{
		ID: job.ID(j.ID), Status: job.Failed, FinishedAt: noon,
		Failure: &job.Failure{Code: "attempts-exhausted", Detail: "d"},
	}
}

// fold returns the job after the events.
func fold(id uuid.UUID, events ...job.Event) job.Job {
	j := job.New(id)
	for _, event := range events {
		j, _ = job.Apply(j, event)
	}
	return j
}

// update draws an event that does not end the job.
func update(id uuid.UUID) *rapid.Generator[job.Event] {
	return rapid.Custom(func(t *rapid.T) job.Event {
		attempt, seconds := rapid.Int32Range(1, 3).Draw(t, "attempt"), rapid.IntRange(0, 5).Draw(t, "seconds")
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			return started(id, attempt, seconds)
		case 1:
			return progressed(id, attempt, seconds, rapid.Int32Range(0, 100).Draw(t, "percent"))
		default:
			return retried(id, attempt, seconds)
		}
	})
}

func end(id uuid.UUID) *rapid.Generator[job.Event] {
	return rapid.Custom(func(t *rapid.T) job.Event {
		attempt, seconds := rapid.Int32Range(1, 3).Draw(t, "attempt"), rapid.IntRange(0, 5).Draw(t, "seconds")
		if rapid.Bool().Draw(t, "succeeds") {
			return succeeded(id, attempt, seconds)
		}
		return failed(id, attempt, seconds)
	})
}

// shuffle draws a permutation of the events, with some of them twice.
func shuffle(t *rapid.T, events []job.Event, label string) []job.Event {
	again := rapid.SliceOfN(rapid.SampledFrom(events), 0, len(events)).Draw(t, label+" duplicates")
	return rapid.Permutation(slices.Concat(events, again)).Draw(t, label)
}

// batches draws a division of the events into batches.
func batches(t *rapid.T, events []job.Event) [][]job.Event {
	return slices.Collect(slices.Chunk(events, rapid.IntRange(1, len(events)).Draw(t, "batch size")))
}
