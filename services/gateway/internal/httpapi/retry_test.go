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

// TestRetryAsksTheQueue requires that a job is not retried while no job would be accepted: clients could retry any number of jobs.
func TestRetryAsksTheQueue(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	for name, limit := range map[string]int{"empty": 1, "full": 0} {
		g := setup(t, func(c *choices) { c.maxCommands = limit })
		g.status.handle(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.WriteHeader(http.StatusAccepted)
			writeJSON(w, jobapi.Job{})
		})
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+jobapi.Path(uuid.NewString())+"/retry", http.NoBody)
		require.NoError(t, err)
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		if name == "empty" {
			require.Equal(t, http.StatusAccepted, answer.StatusCode)
			continue
		}
		require.Equal(t, problem.Describe(problem.QueueUnavailable).Status, answer.StatusCode)
		require.Equal(t, "5", answer.Header.Get("Retry-After"))
	}
	require.EqualValues(t, 1, asked.Load())
}
