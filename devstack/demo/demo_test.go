package demo_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/demo"
)

const pdf = "%PDF-1.7 the result"

// docmill starts a server that answers as the API specifies: queued, running, and then the given ending.
func docmill(t *testing.T, ending, result string) string {
	t.Helper()
	states := []string{`"status":"queued"`, `"status":"running","progress":{"phase":"converting","percent":44}`, ending}
	job := func(state string) string {
		return fmt.Sprintf(`{"id":"1","source":{"filename":"deck.pptx","size":4},%s}`, state)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/jobs", func(w http.ResponseWriter, r *http.Request) {
		file, header, err := r.FormFile("file")
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if body, _ := io.ReadAll(file); string(body) != "deck" || header.Filename != "deck.pptx" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, job(states[0]))
	})
	mux.HandleFunc("GET /v1/jobs/1/events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i, state := range states {
			fmt.Fprintf(w, "id: %d\ndata: %s\n\n", i+1, job(state))
		}
	})
	mux.HandleFunc("GET /v1/jobs/1/result", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, result)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func succeeded() string {
	sum := sha256.Sum256([]byte(pdf))
	return fmt.Sprintf(`"status":"succeeded","result":{"filename":"deck.pdf","size":%d,"sha256":"%s","pages":8}`,
		len(pdf), hex.EncodeToString(sum[:]))
}

func run(t *testing.T, url string) (shown, dir string, err error) {
	t.Helper()
	dir = t.TempDir()
	file := filepath.Join(t.TempDir(), "deck.pptx")
	require.NoError(t, os.WriteFile(file, []byte("deck"), 0o600))
	var output bytes.Buffer
	err = demo.Run(t.Context(), demo.Options{BaseURL: url + "/", File: file, OutputDir: dir, Output: &output})
	return output.String(), dir, err
}

func TestStatesAreShownAndTheResultStored(t *testing.T) {
	t.Parallel()
	shown, dir, err := run(t, docmill(t, succeeded(), pdf))
	require.NoError(t, err)
	require.Regexp(t, `(?s)queued +job 1: deck.pptx, 4 bytes.*running +converting, 44 %`, shown)
	require.Regexp(t, `(?s)running.*succeeded.*deck.pdf, 8 pages, 19 bytes`, shown)
	stored, err := os.ReadFile(filepath.Join(dir, "deck.pdf"))
	require.NoError(t, err)
	require.Equal(t, pdf, string(stored))
}

func TestDamagedResultIsNotStored(t *testing.T) {
	t.Parallel()
	_, dir, err := run(t, docmill(t, succeeded(), "%PDF-1.7 the resuIt"))
	require.ErrorContains(t, err, "result is damaged")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestFailedJobReportsTheReason(t *testing.T) {
	t.Parallel()
	failure := `{"code":"password-required","detail":"The document needs a password.","remedy":"Send it."}`
	_, _, err := run(t, docmill(t, `"status":"failed","error":`+failure, ""))
	require.EqualError(t, err, "the job failed: The document needs a password. Send it. (password-required)")
}

func TestProblemIsReported(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnsupportedMediaType)
		_, _ = io.WriteString(w, `{"title":"Unsupported","detail":"No such format.","remedy":"Use another.","code":"format-unsupported"}`)
	}))
	t.Cleanup(server.Close)
	_, _, err := run(t, server.URL)
	require.ErrorContains(t, err, "Unsupported: No such format. Use another. (415 Unsupported Media Type, code format-unsupported)")
}

func TestOtherServersAreDetected(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	_, _, err := run(t, server.URL)
	require.ErrorContains(t, err, "is not a Docmill answer")
	server.Close()
	_, _, err = run(t, server.URL)
	require.ErrorContains(t, err, "`make up` starts it")
}
