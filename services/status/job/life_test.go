package job_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status/job"
)

var retention = job.Retention{Files: time.Hour, Source: time.Minute, Tombstone: time.Hour}

// retryable is the submission of a job that can be retried.
var retryable = job.Submitted{ID: id, Submission: job.Submission{
	RequestedAt: noon, Filename: "deck.pptx", TargetFormat: "pdf", ObjectKey: "source", Target: []byte{1}, ClaimKey: "claim", Tag: "mine",
}}

// kept returns an end whose files expire an hour after noon, and the document a minute after.
func kept(event job.Event) job.Event {
	end := event.(job.Ended)
	end.ExpiresAt, end.SourceExpiresAt = noon.Add(time.Hour), noon.Add(time.Minute)
	return end
}

func ofGeneration(generation int32, event job.Event) job.Event {
	switch e := event.(type) {
	case job.AttemptUpdated:
		e.Generation = generation
		return e
	case job.Ended:
		e.Generation = generation
		return e
	default:
		return event
	}
}

// TestEarlierGenerationsHaveNoEffect retries a job, and delivers everything that its first life may still produce.
func TestEarlierGenerationsHaveNoEffect(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]job.Event{"failed": failed(1, 2), "canceled": job.Cancel(uuid.UUID(id), 0)} {
		j := after(retryable, started(1, 1), kept(end), job.Retried{ID: id, At: at(10)})
		require.Equal(t, job.Queued, j.Status, name)
		require.EqualValues(t, 1, j.Generation)
		require.EqualValues(t, 1, j.Attempt, "clients never see it go back")
		require.True(t, j.Unpublished)
		require.Equal(t, at(10).Add(job.Republish), j.DueAt)
		for _, late := range []job.Event{
			failed(1, 3), succeeded(1, 3), failed(9, 3), started(2, 20), progressed(2, 21, 5), retried(2, 22), withdrawn, retryable,
			job.Cancel(uuid.UUID(id), 0),
		} {
			if _, again := late.(job.Withdrawn); again {
				continue // of the submission, which was attempted
			}
			now, change := job.Apply(j, late)
			require.False(t, change.Any, "%s: %#v", name, late)
			require.Equal(t, j, now)
		}
		j, change := job.Apply(j, job.Published{ID: id, Generation: 1})
		require.Equal(t, job.Change{Any: true}, change)
		require.Zero(t, j.DueAt)
		j, _ = job.Apply(j, ofGeneration(1, started(2, 20)))
		j, _ = job.Apply(j, kept(ofGeneration(1, succeeded(2, 21))))
		require.Equal(t, job.Succeeded, j.Status)
		require.Equal(t, noon.Add(time.Minute), j.DueAt, "the document expires first")
	}
}

// TestLostRetryIsMadeUpFor delivers the events of a generation whose beginning was lost.
func TestLostRetryIsMadeUpFor(t *testing.T) {
	t.Parallel()
	j := after(retryable, kept(failed(1, 2)), ofGeneration(1, started(2, 20)))
	require.Equal(t, job.Running, j.Status)
	require.Nil(t, j.Failure)
	require.Zero(t, j.DueAt)
	j = after(retryable, kept(failed(1, 2)), ofGeneration(1, succeeded(2, 20)), failed(3, 21))
	require.Equal(t, job.Succeeded, j.Status)
}

func TestRetryable(t *testing.T) {
	t.Parallel()
	old := submitted // of an earlier release, which has not kept the target
	for name, test := range map[string]struct {
		events []job.Event
		want   bool
	}{
		"queued":                 {[]job.Event{retryable}, false},
		"running":                {[]job.Event{retryable, started(1, 1)}, false},
		"succeeded":              {[]job.Event{retryable, kept(succeeded(1, 1))}, false},
		"failed":                 {[]job.Event{retryable, kept(failed(1, 1))}, true},
		"canceled":               {[]job.Event{retryable, kept(canceled(1, 1))}, true},
		"of an earlier release":  {[]job.Event{old, kept(failed(1, 1))}, false},
		"its document is gone":   {[]job.Event{retryable, kept(failed(1, 1)), job.SourceRemoved{ID: id}}, false},
		"deleted":                {[]job.Event{retryable, kept(failed(1, 1)), job.Removed{ID: id, Reason: job.Deleted, At: at(1)}}, false},
		"without its submission": {[]job.Event{kept(failed(1, 1))}, false},
	} {
		j := after(test.events...)
		require.Equal(t, test.want, j.Retryable(at(30)), name)
		require.False(t, j.Retryable(at(60)), "%s: the document expires", name)
	}
}

// TestTombstoneIsNotRevived removes jobs in each state, and delivers everything again.
func TestTombstoneIsNotRevived(t *testing.T) {
	t.Parallel()
	for name, events := range map[string][]job.Event{
		"queued": {retryable}, "running": {retryable, started(1, 1)}, "succeeded": {retryable, kept(succeeded(1, 1))},
		"failed": {retryable, kept(failed(1, 1))}, "canceled": {retryable, kept(canceled(1, 1))},
	} {
		j := after(append(events, job.Removed{ID: id, Reason: job.Deleted, At: at(40), Until: noon.Add(time.Hour)})...)
		require.Equal(t, job.Deleted, j.Gone, name)
		require.True(t, j.Status.Terminal())
		require.Equal(t, job.Submission{RequestedAt: noon, ObjectKey: "source", ClaimKey: "claim"}, *j.Submission, "nothing else is kept")
		require.Nil(t, j.Report)
		require.Equal(t, at(40), j.DueAt, "its files are to be deleted")
		for _, late := range append(events, withdrawn, started(5, 50), succeeded(5, 50), failed(5, 50), job.Retried{ID: id, At: at(41)},
			ofGeneration(3, started(9, 9)), job.SourceRemoved{ID: id}) {
			_, change := job.Apply(j, late)
			require.False(t, change.Any, "%s: %#v", name, late)
		}
		j, _ = job.Apply(j, job.FilesRemoved{ID: id})
		require.Equal(t, noon.Add(time.Hour), j.DueAt, "then the tombstone")
	}
	_, change := job.Apply(after(started(1, 1)), job.Removed{ID: id, Reason: job.Deleted, At: at(1)})
	require.False(t, change.Any, "nobody knows the job")
}

// TestExpiryOfPlaceholder lets a job expire whose submission never arrived.
func TestExpiryOfPlaceholder(t *testing.T) {
	t.Parallel()
	j := after(kept(succeeded(1, 2)), job.Outlived{Removed: job.Removed{ID: id, Reason: job.Expired, At: at(9), Until: at(99)}, LeasedUntil: at(10)})
	require.Equal(t, job.Expired, j.Gone)
	require.Equal(t, "key", j.Result.ObjectKey, "it is to be deleted")
	require.Nil(t, j.Submission)
	j, _ = job.Apply(j, job.FilesRemoved{ID: id})
	require.Equal(t, at(99), j.DueAt)
	_, change := job.Apply(after(started(1, 1)), job.Removed{ID: id, Reason: job.Expired, At: at(9)})
	require.False(t, change.Any, "it may still end")
}

// TestRetriesAreLimited retries a job as often as is allowed.
func TestRetriesAreLimited(t *testing.T) {
	t.Parallel()
	j := after(retryable)
	for generation := range int32(job.MaxGenerations + 1) {
		j, _ = job.Apply(j, kept(ofGeneration(generation, failed(generation+1, 2))))
		require.Equal(t, generation < job.MaxGenerations, j.Retryable(at(3)))
		j, _ = job.Apply(j, job.Retried{ID: id, At: at(3)})
	}
	require.Equal(t, job.Failed, j.Status)
}

// TestShortRetentionCountsFromTheStatusService ends a job by a converter whose clock is an hour behind.
func TestShortRetentionCountsFromTheStatusService(t *testing.T) {
	t.Parallel()
	short := retryable
	short.Submission.Retention = time.Minute
	end := kept(failed(1, 2)).(job.Ended)
	end.FinishedAt, end.KeptFrom = noon.Add(-time.Hour), at(3)
	require.Equal(t, at(63), after(short, end).ExpiresAt)
	short.RecordedAt = at(5)
	require.Equal(t, at(65), after(end, short).ExpiresAt)
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	end := retention.Keep(failed(1, 2).(job.Ended), at(5))
	require.Equal(t, at(5).Add(time.Hour), end.ExpiresAt)
	require.Equal(t, end.ExpiresAt.Add(-59*time.Minute), end.SourceExpiresAt)

	short := retryable
	short.Submission.Retention = 30 * time.Second
	want := noon.Add(32 * time.Second) // after its end
	for name, events := range map[string][]job.Event{
		"in order": {short, kept(failed(1, 2))}, "late submission": {kept(failed(1, 2)), short},
	} {
		j := after(events...)
		require.Equal(t, want, j.ExpiresAt, name)
		require.Equal(t, want, j.SourceExpiresAt, "%s: the document does not outlive the rest", name)
		require.Equal(t, want, j.DueAt, name)
	}
	j := after(retryable, kept(failed(1, 2)), job.SourceRemoved{ID: id})
	require.Equal(t, noon.Add(time.Hour), j.DueAt)
	j, change := job.Apply(j, job.Leased{ID: id, Until: at(9)})
	require.Equal(t, job.Change{Any: true}, change)
	require.Equal(t, at(9), j.DueAt)

	removed := job.Removed{ID: id, Reason: job.Expired, At: at(9), Until: at(99)}
	j, change = job.Apply(j, job.Outlived{Removed: removed, LeasedUntil: at(10)})
	require.Equal(t, job.Change{Any: true, State: true}, change)
	require.Equal(t, job.Expired, j.Gone)
	require.Equal(t, at(10), j.DueAt)

	earlier := after(retryable, failed(1, 2)) // by an earlier release
	require.Zero(t, earlier.DueAt)
	earlier, _ = job.Apply(earlier, job.Kept{ID: id, At: at(100), Retention: retention})
	require.Equal(t, at(100).Add(time.Minute), earlier.DueAt)
	_, change = job.Apply(earlier, job.Kept{ID: id, At: at(200), Retention: retention})
	require.False(t, change.Any)
	_, change = job.Apply(after(retryable), job.Kept{ID: id, At: at(200), Retention: retention})
	require.False(t, change.Any)
}
