package client_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
)

// answer returns a response with a body that begins with that text and then, if it is held, sends nothing more.
func answer(r *http.Request, kind, text string, held bool) *http.Response {
	body := io.NopCloser(strings.NewReader(text))
	if held {
		reader, writer := io.Pipe()
		go func() { _, _ = io.WriteString(writer, text) }()
		body = reader
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {kind}, "Etag": {etag}}, Body: body, Request: r}
}

func TestWaitPollsBehindAProxyThatHoldsEventsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, began := []string{}, time.Now()
		transport := scripted(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.Path)
			if strings.HasSuffix(r.URL.Path, "/events") {
				return answer(r, "text/event-stream", "", true), nil
			}
			return answer(r, "application/json", jobJSON(client.Succeeded), false), nil
		})
		c := client.New("http://docmill", client.WithHTTPClient(&http.Client{Transport: transport}))
		job, err := c.Wait(t.Context(), client.Job{ID: "1", Status: client.Queued})
		require.NoError(t, err)
		require.Equal(t, client.Succeeded, job.Status)
		require.Equal(t, []string{"/v1/jobs/1/events", "/v1/jobs/1"}, asked)
		require.Less(t, time.Since(began), time.Minute)
	})
}

func TestSilentConnectionsAreGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ranges, ids := []string{}, []string{}
		transport := scripted(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/events") {
				ids = append(ids, r.Header.Get("Last-Event-ID"))
				status := []client.Status{client.Running, client.Succeeded}[len(ids)-1]
				return answer(r, "text/event-stream", "id: 7\ndata: "+jobJSON(status)+"\n\n", true), nil
			}
			ranges = append(ranges, r.Header.Get("Range"))
			if len(ranges) == 1 {
				return answer(r, "", pdf[:5], true), nil
			}
			return answer(r, "", pdf, false), nil
		})
		c := client.New("http://docmill", client.WithHTTPClient(&http.Client{Transport: transport}))
		states, err := follow(t, c)
		require.NoError(t, err)
		require.Equal(t, []client.Status{client.Running, client.Succeeded}, states)
		require.Equal(t, []string{"", "7"}, ids)

		var got strings.Builder
		require.NoError(t, c.Download(t.Context(), succeeded(), &got))
		require.Equal(t, pdf, got.String())
		require.Equal(t, []string{"", "bytes=5-"}, ranges)
	})
}
