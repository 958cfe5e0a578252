package client_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
)

// step answers one request of a test.
type step func(w http.ResponseWriter, r *http.Request)

// faulty starts a server that answers each request with the next step. Docmill itself is tested in devstack/acceptance;
// here the subject is what the client does when the network or the server fails.
func faulty(t *testing.T, steps ...step) *client.Client {
	t.Helper()
	next := make(chan step, len(steps))
	for _, s := range steps {
		next <- s
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s := <-next:
			s(w, r)
		default:
			t.Errorf("unexpected request: %s %s", r.Method, r.URL)
		}
	}))
	t.Cleanup(func() {
		server.Close()
		require.Empty(t, next, "requests that the client did not send")
	})
	return client.New(server.URL, client.WithHTTPClient(server.Client()), quick())
}

func quick() client.Option {
	return client.WithRetries(client.Retries{FirstDelay: time.Millisecond})
}

// refuse answers with a problem.
func refuse(status int, code client.Code, header ...string) step {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"status":%d,"code":%q,"title":"Refused","detail":"It was refused.","remedy":"Try later.","trace_id":"4bf9",
			"errors":[{"name":"to","detail":"must be pdf"}]}`, status, code)
	}
}

// cut closes the connection without an answer.
func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// accept reads a submission, checks its document and answers with a job.
func accept(t *testing.T, document string) step {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		file, header, err := r.FormFile("file")
		if !check(t, err == nil, "read the form: %v", err) {
			return
		}
		content, err := io.ReadAll(file)
		check(t, err == nil && string(content) == document, "the document is %q, %v", content, err)
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(client.Job{ID: "1", Status: client.Queued, Source: client.Source{Filename: header.Filename}})
	}
}

// check is require for handlers, which run in other goroutines.
func check(t *testing.T, ok bool, format string, args ...any) bool {
	t.Helper()
	if !ok {
		t.Errorf(format, args...)
	}
	return ok
}

// state answers with a job in that state.
func state(status client.Status, header ...string) step {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		fmt.Fprint(w, jobJSON(status))
	}
}

func jobJSON(status client.Status) string {
	failure := ""
	if status == client.Failed {
		failure = `,"error":{"code":"password-wrong","detail":"It is wrong.","remedy":"Send another.","retryable":false}`
	}
	return fmt.Sprintf(`{"id":"1","status":%q%s}`, status, failure)
}

// after checks the request before the next step.
func after(t *testing.T, want map[string]string, next step) step {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		for name, value := range want {
			check(t, r.Header.Get(name) == value, "%s is %q, not %q", name, r.Header.Get(name), value)
		}
		next(w, r)
	}
}
