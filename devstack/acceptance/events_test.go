package acceptance_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
)

// TestEventsShowAConversion follows a job from its submission to its end.
func TestEventsShowAConversion(t *testing.T) {
	t.Parallel()
	forBoth(t, testEventsShowAConversion)
}

func testEventsShowAConversion(t *testing.T, on edition) {
	t.Helper()
	b := setup(t, on)
	job := b.submit(t, "sample.pptx")
	response := b.events(t, job, "")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))

	var last int64
	var states []client.Job
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			version, err := strconv.ParseInt(value, 10, 64)
			require.NoError(t, err)
			require.Greater(t, version, last)
			last = version
		case "data":
			var state client.Job
			require.NoError(t, json.Unmarshal([]byte(value), &state))
			require.Equal(t, job.ID, state.ID)
			states = append(states, state)
		}
	}
	require.NoError(t, lines.Err(), "the stream ends in an orderly way")
	require.NotEmpty(t, states)
	for _, state := range states[:len(states)-1] {
		require.False(t, state.Ended())
	}
	require.Equal(t, client.Succeeded, states[len(states)-1].Status)
	require.Equal(t, http.StatusNoContent, b.events(t, job, strconv.FormatInt(last, 10)).StatusCode)
}

// events requests the events of a job.
func (b *testBundle) events(t *testing.T, job client.Job, lastEventID string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(b.ctx, http.MethodGet, b.system.URL()+"/v1/jobs/"+job.ID+"/events", http.NoBody)
	require.NoError(t, err)
	if lastEventID != "" {
		request.Header.Set("Last-Event-ID", lastEventID)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}
