package httpapi_test

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
)

// TestRetryAsksTheQueue requires that a job is not retried while no job would be accepted: clients could retry any number of jobs. A
// request that would not retry a job is answered by the status service all the same.
func TestRetryAsksTheQueue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit     int
		status    jobapi.Status // none for a job that does not exist
		forwarded bool
	}{
		"empty":                {1, jobapi.Failed, true},
		"full, failed":         {0, jobapi.Failed, false},
		"full, canceled":       {0, jobapi.Canceled, false},
		"full, retried before": {0, jobapi.Queued, true},
		"full, succeeded":      {0, jobapi.Succeeded, true},
		"full, unknown job":    {0, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := setup(t, func(choices *choices) { choices.maxCommands = c.limit })
			var asked atomic.Int32
			g.status.handle(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodPost:
					asked.Add(1)
					w.WriteHeader(http.StatusAccepted)
				case c.status == "":
					problem.Write(w, r, problem.New(problem.JobNotFound, "No job has this id."))
					return
				default:
					w.Header().Set("ETag", `"3"`)
				}
				writeJSON(w, jobapi.Job{Status: c.status})
			})
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+jobapi.Path(uuid.NewString())+"/retry", http.NoBody)
			require.NoError(t, err)
			answer, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			if c.forwarded {
				require.Equal(t, http.StatusAccepted, answer.StatusCode)
				require.EqualValues(t, 1, asked.Load())
				return
			}
			require.Equal(t, problem.Describe(problem.QueueUnavailable).Status, answer.StatusCode)
			require.Equal(t, "5", answer.Header.Get("Retry-After"))
			require.Zero(t, asked.Load())
		})
	}
}
