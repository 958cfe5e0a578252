package client_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
)

const (
	pdf  = "%PDF-1.7 the result"
	etag = `"version"`
)

func succeeded() client.Job {
	sum := sha256.Sum256([]byte(pdf))
	return client.Job{ID: "1", Status: client.Succeeded, Result: &client.Result{
		Filename: "deck.pdf", Size: int64(len(pdf)), SHA256: hex.EncodeToString(sum[:]),
	}}
}

// send answers with a part of the result from begin. If the part is shorter than announced, the connection is cut.
func send(begin, end int) step {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", etag)
		w.Header().Set("Content-Length", strconv.Itoa(len(pdf)-begin))
		if r.Header.Get("Range") != "" && begin > 0 {
			w.Header().Set("Content-Range", "bytes "+strconv.Itoa(begin)+"-18/19")
			w.WriteHeader(http.StatusPartialContent)
		}
		_, _ = io.WriteString(w, pdf[begin:end])
		if end < len(pdf) {
			_ = http.NewResponseController(w).Flush()
			cut(w, r)
		}
	}
}

func TestDownloadContinuesAfterALostConnection(t *testing.T) {
	t.Parallel()
	resumed := map[string]string{"Range": "bytes=5-", "If-Range": etag}
	c := faulty(t, cut, send(0, 5), refuse(503, client.CodeStoreUnavailable), after(t, resumed, send(5, 8)),
		after(t, map[string]string{"Range": "bytes=8-"}, send(8, len(pdf))))
	var got strings.Builder
	require.NoError(t, c.Download(t.Context(), succeeded(), &got))
	require.Equal(t, pdf, got.String())
}

func TestDownloadContinuesWithoutRanges(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	require.NoError(t, faulty(t, send(0, 5), send(0, len(pdf))).Download(t.Context(), succeeded(), &got))
	require.Equal(t, pdf, got.String())
}

func TestDownloadWithoutProgressEnds(t *testing.T) {
	t.Parallel()
	err := faulty(t, send(0, 5), cut, cut, cut, cut).Download(t.Context(), succeeded(), io.Discard)
	require.ErrorIs(t, err, io.EOF)
}

func TestWrongRangeIsDetected(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, faulty(t, send(0, 5), send(6, len(pdf))).Download(t.Context(), succeeded(), io.Discard), client.ErrDamaged)
}

func TestDamagedFileIsNotStored(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"corrupted": "%PDF-1.7 the resuIt", "longer": pdf + "!"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			answer := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, content) }
			err := faulty(t, answer).DownloadFile(t.Context(), succeeded(), filepath.Join(dir, "deck.pdf"))
			require.ErrorIs(t, err, client.ErrDamaged)
			requireFiles(t, dir)
		})
	}
}

func TestTruncatedFileIsNotStored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	short := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, pdf[:5]) } // a regular end of the body
	empty := func(http.ResponseWriter, *http.Request) {}
	err := faulty(t, short, empty, empty, empty, empty).DownloadFile(t.Context(), succeeded(), filepath.Join(dir, "deck.pdf"))
	require.Error(t, err)
	requireFiles(t, dir)
}

func TestFileIsReplacedWhenItIsComplete(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "deck.pdf")
	require.NoError(t, os.WriteFile(path, []byte("older"), 0o600))
	require.NoError(t, faulty(t, send(0, 5), send(5, len(pdf))).DownloadFile(t.Context(), succeeded(), path))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, pdf, string(content))
	requireFiles(t, dir, "deck.pdf")
}

func requireFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	require.Equal(t, want, names)
}

type full struct{}

var errFull = errors.New("disk full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestDownloadNeedsAResult(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, faulty(t, send(0, len(pdf))).Download(t.Context(), succeeded(), full{}), errFull)
	failed := client.Job{ID: "1", Status: client.Failed, Failure: &client.JobError{Code: client.CodeEngineCrashed}}
	require.True(t, client.IsCode(faulty(t).Download(t.Context(), failed, io.Discard), client.CodeEngineCrashed))
	running := client.Job{ID: "1", Status: client.Running}
	require.ErrorContains(t, faulty(t).Download(t.Context(), running, io.Discard), "has no result")
}
