package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
)

// client is a connection on which a test sends a request piece by piece.
type client struct {
	net.Conn
	t      testing.TB
	reader *bufio.Reader
}

func (g *gateway) dial(t testing.TB) *client {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	return &client{Conn: connection, t: t, reader: bufio.NewReader(connection)}
}

// begin sends the headers of a submission of that many bytes; further headers end in a line break.
func (c *client) begin(length int64, headers string) *client {
	c.t.Helper()
	return c.send(fmt.Sprintf("POST /v1/jobs HTTP/1.1\r\nHost: gateway\r\nContent-Length: %d\r\n%s\r\n", length, headers))
}

const named = "Content-Disposition: attachment; filename=a.txt\r\n"

func (c *client) send(text string) *client {
	c.t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(c.t, err)
	return c
}

func (c *client) sendBytes(n int64) *client {
	c.t.Helper()
	_, err := io.Copy(c.Conn, textOf(n))
	require.NoError(c.t, err)
	return c
}

func (c *client) answer() reply {
	c.t.Helper()
	response, err := http.ReadResponse(c.reader, nil)
	require.NoError(c.t, err)
	return readReply(c.t, response)
}

// ended waits until as many uploads have ended with that code.
func (g *gateway) ended(t testing.TB, code string, n float64) {
	t.Helper()
	require.Eventually(t, func() bool { return g.uploads(t)[code] == n }, patience, 10*time.Millisecond, "%v", code)
}

func TestClientThatDisconnectsLeavesNothing(t *testing.T) {
	t.Parallel()
	const form = "Content-Type: multipart/form-data; boundary=edge\r\n"
	const start = "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n"
	for name, test := range map[string]struct {
		length  int64
		headers string
		start   string
		bytes   int64
		parts   bool
	}{
		"before the first byte":       {1000, named, "", 0, false},
		"in the head":                 {1 << 20, named, "", 10_000, false},
		"in one put":                  {60 << 20, named, "", 3 << 20, false},
		"in parts of a known size":    {66 << 20, named, "", 12 << 20, true},
		"in parts of an unknown size": {60 << 20, form, start, 12 << 20, true},
		"right after the last byte":   {12<<20 + int64(len(start)), form, start, 12 << 20, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := setup(t, func(c *choices) { c.settings.Upload.MaxSize = 70 << 20 })
			c := g.dial(t).begin(test.length, test.headers).send(test.start).sendBytes(test.bytes)
			if test.parts {
				require.Eventually(t, func() bool { return len(g.tap.begun()) == 1 }, patience, 10*time.Millisecond)
			}
			require.NoError(t, c.Close())
			if strings.HasPrefix(name, "right after") {
				g.ended(t, string(problem.FormInvalid), 1) // the form is not closed
			} else {
				g.ended(t, string(problem.UploadInterrupted), 1)
			}
			g.requireNothingStored(t)
			g.requireNothingQueued(t)
		})
	}
}

// TestClientThatLeavesBeforeThePublish disconnects after the whole request, while the store is slow to take the
// document.
func TestClientThatLeavesBeforeThePublish(t *testing.T) {
	t.Parallel()
	arrived, left := make(chan struct{}), make(chan struct{})
	g := setup(t)
	g.tap.before(func(r *http.Request) {
		if r.Method == http.MethodPut {
			close(arrived)
			<-left
		}
	})
	c := g.dial(t).begin(1000, named).sendBytes(1000)
	<-arrived
	require.NoError(t, c.Close())
	g.server.CloseClientConnections() // makes sure that the server sees it now
	close(left)
	g.ended(t, string(problem.UploadInterrupted), 1)
	g.requireNothingStored(t)
	g.requireNothingQueued(t)
}

func TestClientThatStandsStill(t *testing.T) {
	t.Parallel()
	g := setup(t, func(c *choices) { c.settings.Upload.Idle = 2 * time.Second }) // the test's own pauses stay below
	var clients []*client
	for _, sent := range []int64{12 << 20, 300 << 10, 1000, 0} {
		clients = append(clients, g.dial(t).begin(60<<20, named).sendBytes(sent))
	}
	for _, c := range clients {
		answer := c.answer().problem(t, problem.UploadTooSlow)
		require.Contains(t, answer.Detail, "2s")
	}
	g.requireNothingStored(t)
}

// TestLongAnswerOutlastsTheReadDeadline keeps a client waiting for longer than it could have paused its upload.
func TestLongAnswerOutlastsTheReadDeadline(t *testing.T) {
	t.Parallel()
	const idle = 300 * time.Millisecond
	g := setup(t, func(c *choices) { c.settings.Upload.Idle = idle })
	g.status.handle(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(3 * idle):
			writeJSON(w, jobapi.Job{ID: "late", Status: jobapi.Queued})
		case <-r.Context().Done():
		}
	})
	c := g.dial(t)
	for range 2 { // the second on the same connection
		c.send("POST /v1/jobs HTTP/1.1\r\nHost: gateway\r\nContent-Length: 4\r\n" + named + "\r\ntext") // at once
		require.Equal(t, "late", c.answer().job(t, http.StatusAccepted).ID)
	}
}

func TestSlowClientDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	g := setup(t)
	var slow []*client
	for range 7 {
		slow = append(slow, g.dial(t).begin(1<<20, named).sendBytes(300<<10))
	}
	for range 5 {
		g.raw(t, deck, sample(t, deck)).job(t, http.StatusAccepted)
	}
	for _, c := range slow {
		c.sendBytes(1<<20 - 300<<10)
		c.answer().job(t, http.StatusAccepted)
	}
}

func TestRefusalComesBeforeTheUploadEnds(t *testing.T) {
	t.Parallel()
	g := setup(t)
	c := g.dial(t).begin(60<<20, "Content-Disposition: attachment; filename=a.pptx\r\n").sendBytes(4096)
	c.answer().problem(t, problem.FileTypeContradicted)
}
