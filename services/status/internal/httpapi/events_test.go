package httpapi_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
)

// stream is an open stream of server-sent events.
type stream struct {
	*http.Response

	lines *bufio.Scanner
}

func (b bench) open(t *testing.T, id uuid.UUID, lastEventID string) *stream {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+jobapi.EventsPath(id.String()), http.NoBody)
	require.NoError(t, err)
	if lastEventID != "" {
		request.Header.Set("Last-Event-ID", lastEventID)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return &stream{response, bufio.NewScanner(response.Body)}
}

// next returns the id and the job of the next event; more is false at the end of the stream.
func (s *stream) next(t *testing.T) (id string, shown jobapi.Job, more bool) {
	t.Helper()
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "data":
			require.NoError(t, json.Unmarshal([]byte(value), &shown))
		case "":
			if id != "" { // otherwise it was a comment
				return id, shown, true
			}
		}
	}
	require.NoError(t, s.lines.Err())
	return "", jobapi.Job{}, false
}

func TestEventsFollowTheJobToItsEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	id := b.submit(t)
	events := b.open(t, id, "")
	require.Equal(t, http.StatusOK, events.StatusCode)
	require.Equal(t, "text/event-stream", events.Header.Get("Content-Type"))
	require.Equal(t, "no-cache", events.Header.Get("Cache-Control"))
	version, shown, _ := events.next(t)
	require.Equal(t, "1", version)
	require.Equal(t, jobapi.Queued, shown.Status)
	require.Equal(t, jobapi.EventsPath(id.String()), shown.Links.Events)

	b.apply(t, started(id))
	version, shown, _ = events.next(t)
	require.Equal(t, "2", version)
	require.Equal(t, jobapi.Running, shown.Status)

	b.apply(t, progressed(id, 40)) // nobody is notified of it
	version, shown, _ = events.next(t)
	require.Equal(t, "3", version)
	require.Equal(t, int32(40), shown.Progress.Percent)

	b.apply(t, succeeded(id))
	version, shown, _ = events.next(t)
	require.Equal(t, "4", version)
	require.Equal(t, jobapi.Succeeded, shown.Status)
	_, _, more := events.next(t)
	require.False(t, more, "it ends after the end of the job")
	require.Zero(t, b.streams.Count())
}

func TestEventsResume(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	id := b.submit(t)
	events := b.open(t, id, "1")
	b.apply(t, started(id))
	version, _, _ := events.next(t)
	require.Equal(t, "2", version, "not again the one that the client has")

	b.apply(t, succeeded(id))
	for _, last := range []string{"1", "2", "17", "-1", "none"} {
		events := b.open(t, id, last)
		version, shown, _ := events.next(t)
		require.Equal(t, "3", version, last)
		require.Equal(t, jobapi.Succeeded, shown.Status)
		_, _, more := events.next(t)
		require.False(t, more)
	}
	require.Equal(t, http.StatusNoContent, b.open(t, id, "3").StatusCode, "an EventSource does not connect again")
}

func TestEventsOfUnknownJob(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	for _, id := range []string{uuid.NewString(), "1"} {
		got := b.mustGet(t, jobapi.EventsPath(id))
		require.Equal(t, http.StatusNotFound, got.StatusCode)
		require.Contains(t, string(got.body), problem.JobNotFound)
	}
}

func TestEventsEndWithTheServer(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	events := b.open(t, b.submit(t), "")
	_, _, more := events.next(t)
	require.True(t, more)
	require.NoError(t, b.drain())
	_, _, more = events.next(t)
	require.False(t, more)
}

func TestEventsAreLimited(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	id := b.submit(t)
	first := b.open(t, id, "1")
	require.Eventually(t, func() bool { return b.streams.Count() == 1 }, storetest.Patience, time.Millisecond)
	second := b.open(t, id, "1")
	require.Equal(t, http.StatusServiceUnavailable, second.StatusCode)
	require.NotEmpty(t, second.Header.Get("Retry-After"))
	ended := b.submit(t)
	b.apply(t, succeeded(ended))
	require.Equal(t, http.StatusOK, b.open(t, ended, "").StatusCode, "there is nothing to wait for")
	require.NoError(t, first.Body.Close())
	require.Eventually(t, func() bool { return b.streams.Count() == 0 }, storetest.Patience, time.Millisecond)
	require.Equal(t, http.StatusOK, b.open(t, id, "").StatusCode)
}
