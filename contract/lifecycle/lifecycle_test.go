package lifecycle_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/lifecycle"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func queued(attempt int32) jobapi.Job {
	return jobapi.Job{ID: "1", Status: jobapi.Queued, Attempt: attempt, CreatedAt: noon, Links: jobapi.LinksTo("1", jobapi.Queued)}
}

func waiting(attempt int32) jobapi.Job {
	j := queued(attempt)
	j.LastError, j.NextAttemptAt = &jobapi.Error{Code: "store-unavailable"}, &noon
	return j
}

func running(attempt int32) jobapi.Job {
	j := queued(attempt)
	j.Status, j.Progress = jobapi.Running, &jobapi.Progress{Phase: "loading", Percent: 10}
	return j
}

func succeeded(attempt int32) jobapi.Job {
	j := queued(attempt)
	j.Status, j.FinishedAt, j.Result, j.Links = jobapi.Succeeded, &noon, &jobapi.Result{Size: 1}, jobapi.LinksTo("1", jobapi.Succeeded)
	return j
}

func failed(attempt int32) jobapi.Job {
	j := queued(attempt)
	j.Status, j.FinishedAt, j.Error = jobapi.Failed, &noon, &jobapi.Error{Code: "document-malformed"}
	return j
}

// again returns the job as of a generation.
func again(generation int32, j jobapi.Job) jobapi.Job {
	j.Generation = generation
	return j
}

func TestHistories(t *testing.T) {
	t.Parallel()
	changed := func(j jobapi.Job, change func(*jobapi.Job)) jobapi.Job {
		change(&j)
		return j
	}
	for name, test := range map[string]struct {
		history []jobapi.Job
		illegal string
	}{
		"the usual life":      {history: []jobapi.Job{queued(0), running(1), succeeded(1), succeeded(1)}},
		"unseen states":       {history: []jobapi.Job{queued(0), failed(1)}},
		"a retry":             {history: []jobapi.Job{running(1), queued(1), waiting(1), running(2), failed(2)}},
		"failed while queued": {history: []jobapi.Job{queued(0), failed(0)}},
		"lost worker":         {history: []jobapi.Job{running(1), running(1), running(2), succeeded(2)}},

		"retried by its client": {history: []jobapi.Job{queued(0), failed(1), again(1, queued(1)), again(1, running(2)), again(1, succeeded(2))}},
		"retried unseen":        {history: []jobapi.Job{running(1), again(1, running(2))}},
		"expiry is new":         {history: []jobapi.Job{succeeded(1), changed(succeeded(1), func(j *jobapi.Job) { j.ExpiresAt = &noon })}},

		"generation goes back": {[]jobapi.Job{again(2, queued(1)), again(1, queued(1))}, "generation went back"},
		"success is retried":   {[]jobapi.Job{succeeded(1), again(1, queued(1))}, "has succeeded was retried"},
		"second end":           {[]jobapi.Job{succeeded(1), failed(1)}, "after its end, from succeeded to failed"},
		"left end":             {[]jobapi.Job{failed(1), running(2)}, "after its end, from failed to running"},
		"other result":         {[]jobapi.Job{succeeded(1), changed(succeeded(1), func(j *jobapi.Job) { j.Result = &jobapi.Result{Size: 2} })}, "after its end"},
		"attempt goes back":    {[]jobapi.Job{running(2), succeeded(1)}, "from 2 to 1"},
		"other submission":     {[]jobapi.Job{queued(0), changed(queued(0), func(j *jobapi.Job) { j.Source.SHA256 = "ff" })}, "submission has changed"},
		"unknown state":        {[]jobapi.Job{changed(queued(0), func(j *jobapi.Job) { j.Status = "paused" })}, "does not exist"},
		"no result":            {[]jobapi.Job{changed(succeeded(1), func(j *jobapi.Job) { j.Result = nil })}, "has a result"},
		"no link":              {[]jobapi.Job{changed(succeeded(1), func(j *jobapi.Job) { j.Links.Result = "" })}, "links to a result"},
		"no error":             {[]jobapi.Job{changed(failed(1), func(j *jobapi.Job) { j.Error = nil })}, "has an error"},
		"finished too early":   {[]jobapi.Job{changed(running(1), func(j *jobapi.Job) { j.FinishedAt = &noon })}, "has finished_at"},
		"progress of nothing":  {[]jobapi.Job{changed(running(1), func(j *jobapi.Job) { j.Status = jobapi.Queued })}, "has progress"},
		"error of no attempt":  {[]jobapi.Job{waiting(0)}, "has last_error only"},
		"error while running":  {[]jobapi.Job{changed(running(2), func(j *jobapi.Job) { j.LastError, j.NextAttemptAt = waiting(2).LastError, &noon })}, "has last_error only"},
		"no next attempt":      {[]jobapi.Job{changed(waiting(1), func(j *jobapi.Job) { j.NextAttemptAt = nil })}, "together"},
		"no attempt":           {[]jobapi.Job{running(0)}, "at least one attempt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var history lifecycle.History
			var err error
			for _, job := range test.history {
				require.NoError(t, err, "only the last step is illegal")
				err = history.See(job)
			}
			if test.illegal == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.illegal)
			}
			last, seen := history.Last()
			require.True(t, seen)
			require.Equal(t, test.history[len(test.history)-1], last)
		})
	}
}
