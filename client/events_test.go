package client_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
)

// stream answers with events. The connection is then cut, unless the last event ended the job.
func stream(version int, states ...client.Status) step {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		fmt.Fprint(w, "retry: 1\n")
		for i, status := range states {
			fmt.Fprintf(w, "id: %d\ndata: %s\n\n:\n\n", version+i, jobJSON(status))
		}
		_ = http.NewResponseController(w).Flush()
		if len(states) == 0 || states[len(states)-1] != client.Failed {
			cut(w, r)
		}
	}
}

func follow(t *testing.T, c *client.Client) (states []client.Status, err error) {
	t.Helper()
	for job, err := range c.Events(t.Context(), "1") {
		if err != nil {
			return states, err
		}
		states = append(states, job.Status)
	}
	return states, nil
}

func TestEventsContinueAfterALostConnection(t *testing.T) {
	t.Parallel()
	c := faulty(t, refuse(503, client.CodeStatusUnavailable), stream(3, client.Queued, client.Running),
		after(t, map[string]string{"Last-Event-ID": "4"}, cut), after(t, map[string]string{"Last-Event-ID": "4"}, refuse(503, client.CodeStatusUnavailable)),
		after(t, map[string]string{"Last-Event-ID": "4"}, stream(5, client.Failed)))
	states, err := follow(t, c)
	require.NoError(t, err)
	require.Equal(t, []client.Status{client.Queued, client.Running, client.Failed}, states)
}

func TestEventsEndWithNoContent(t *testing.T) {
	t.Parallel()
	states, err := follow(t, faulty(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	require.NoError(t, err)
	require.Empty(t, states)
}

func TestEventsEndWithAProblem(t *testing.T) {
	t.Parallel()
	_, err := follow(t, faulty(t, refuse(404, client.CodeRouteNotFound)))
	require.True(t, client.IsCode(err, client.CodeRouteNotFound))
	_, err = follow(t, faulty(t, cut, cut, cut, cut, cut))
	require.Error(t, err, "the tries are limited")
	_, err = follow(t, faulty(t, state(client.Queued)))
	require.ErrorContains(t, err, "instead of events")
}

func TestEventsEndWhenTheyAreNotRead(t *testing.T) {
	t.Parallel()
	for job, err := range faulty(t, stream(1, client.Queued, client.Running, client.Failed)).Events(t.Context(), "1") {
		require.NoError(t, err)
		require.Equal(t, client.Queued, job.Status)
		break
	}
}

func TestEventsEndWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	held := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "id: 1\ndata: %s\n\n", jobJSON(client.Queued))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	seen := 0
	for _, err := range faulty(t, held).Events(ctx, "1") {
		if seen++; seen == 1 {
			require.NoError(t, err)
			cancel()
			continue
		}
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Equal(t, 2, seen)
}

func TestWaitUsesEvents(t *testing.T) {
	t.Parallel()
	job, err := faulty(t, stream(1, client.Queued), stream(2, client.Failed)).Wait(t.Context(), client.Job{ID: "1", Status: client.Queued})
	require.True(t, client.IsCode(err, client.CodePasswordWrong))
	require.Equal(t, client.Failed, job.Status)
	_, err = faulty(t).Wait(t.Context(), client.Job{ID: "1", Status: client.Succeeded})
	require.NoError(t, err, "nothing is asked")
}

func TestWaitPollsWithoutEvents(t *testing.T) {
	t.Parallel()
	held := map[string]string{"Prefer": "wait=20", "If-None-Match": `"2"`}
	unchanged := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"2"`)
		w.WriteHeader(http.StatusNotModified)
	}
	for name, refusal := range map[string]step{
		"route not found": refuse(404, client.CodeRouteNotFound),
		"unavailable":     refuse(503, client.CodeStatusUnavailable),
		"not events":      state(client.Queued),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := faulty(t, refusal, after(t, map[string]string{"Prefer": ""}, state(client.Running, "ETag", `"2"`)),
				after(t, held, unchanged), after(t, held, refuse(503, client.CodeStatusUnavailable)),
				after(t, held, state(client.Succeeded, "ETag", `"3"`)))
			job, err := c.Wait(t.Context(), client.Job{ID: "1", Status: client.Queued})
			require.NoError(t, err)
			require.Equal(t, client.Succeeded, job.Status)
		})
	}
	_, err := faulty(t, refuse(404, client.CodeJobNotFound), refuse(404, client.CodeJobNotFound)).Wait(t.Context(), client.Job{ID: "1"})
	require.True(t, client.IsCode(err, client.CodeJobNotFound))
}
