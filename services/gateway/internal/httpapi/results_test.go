package httpapi_test

import (
	"archive/zip"
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/devstack/testbench"
)

// stored is a result in the store, and what status knows about its job.
type storedResult struct {
	filename string
	content  []byte
	// fault is the problem of a job without a result.
	fault problem.Code
}

// record stores the results, records their jobs in status and returns the ids.
func (g *gateway) record(t testing.TB, results ...storedResult) []string {
	t.Helper()
	ids, answers := make([]string, len(results)), map[string]http.HandlerFunc{}
	for i, result := range results {
		ids[i] = uuid.NewString()
		path := "/internal/jobs/" + ids[i] + "/result"
		if result.fault != "" {
			answers[path] = func(w http.ResponseWriter, r *http.Request) {
				problem.Write(w, r, problem.New(result.fault, "It is so: %s.", result.fault))
			}
			continue
		}
		location := jobapi.Location{
			ObjectKey: ids[i] + "/attempt.pdf", Filename: result.filename, ContentType: "application/pdf",
			Size: int64(len(result.content)), SHA256: sha256Of(result.content),
		}
		_, err := g.objects.PutObject(t.Context(), g.bench.ResultsBucket, location.ObjectKey, bytes.NewReader(result.content), location.Size, minio.PutObjectOptions{})
		require.NoError(t, err)
		answers[path] = func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, location) }
	}
	g.status.handle(func(w http.ResponseWriter, r *http.Request) {
		if handler, found := answers[r.URL.Path]; found {
			handler(w, r)
			return
		}
		problem.Write(w, r, problem.New(problem.JobNotFound, "The job is not recorded."))
	})
	return ids
}

func archivePath(ids ...string) string {
	return "/v1/results.zip?" + url.Values{"id": ids}.Encode()
}

func TestArchiveOfResults(t *testing.T) {
	t.Parallel()
	g := setup(t)
	large := content(3 << 20)
	results := []storedResult{
		{filename: "deck.pdf", content: []byte("first")},
		{filename: "Deck.pdf", content: []byte("second")},
		{filename: "Präsentation 🎉.pdf", content: large},
		{filename: "ملف\u202efdp.exe.pdf", content: []byte("third")},
	}
	ids := g.record(t, results...)
	answer := g.get(t, archivePath(append(ids, ids[0])...), nil)
	require.Equal(t, http.StatusOK, answer.StatusCode, string(answer.body))
	for name, want := range map[string]string{
		"Content-Type": "application/zip", "Content-Disposition": `attachment; filename="docmill-results.zip"`,
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
	} {
		require.Equal(t, want, answer.Header.Get(name), name)
	}
	archive, err := zip.NewReader(bytes.NewReader(answer.body), int64(len(answer.body)))
	require.NoError(t, err)
	require.Len(t, archive.File, len(results), "a repeated id counts once")
	for i, name := range []string{"deck.pdf", "Deck (2).pdf", "Präsentation 🎉.pdf", "ملف_fdp.exe.pdf"} {
		require.Equal(t, name, archive.File[i].Name)
		file, err := archive.File[i].Open()
		require.NoError(t, err)
		unpacked, err := io.ReadAll(file)
		require.NoError(t, err)
		require.True(t, bytes.Equal(results[i].content, unpacked), name)
	}
}

func TestArchiveNamesEveryFault(t *testing.T) {
	t.Parallel()
	g := setup(t)
	ids := g.record(t, storedResult{filename: "deck.pdf", content: []byte("x")},
		storedResult{fault: problem.JobNotFound}, storedResult{fault: problem.JobNotFinished}, storedResult{fault: problem.JobFailed})
	long := "x" + strings.Repeat("ä", 1000)
	faults := g.get(t, archivePath(append(ids, "no-id", long)...), nil).problem(t, problem.ResultsMissing)
	require.Equal(t, "5 of 6 jobs have no result.", faults.Detail)
	require.Equal(t, []problem.Field{
		{Name: ids[1], Detail: "It is so: job-not-found."},
		{Name: ids[2], Detail: "It is so: job-not-finished."},
		{Name: ids[3], Detail: "It is so: job-failed."},
		{Name: "no-id", Detail: "This is not the id of a job."},
		{Name: problem.Excerpt(long), Detail: "This is not the id of a job."},
	}, faults.Errors)

	for _, count := range []int{0, 101} {
		invalid := g.get(t, archivePath(make([]string, count)...), nil).problem(t, problem.ParameterInvalid)
		require.Equal(t, []problem.Field{{Name: "id", Detail: "must be given 1 to 100 times"}}, invalid.Errors)
	}
}

// TestArchiveOfTheMaximum checks that the ids of the largest archive fit into the headers of a request, and how many files of the
// store a request has open at once.
func TestArchiveOfTheMaximum(t *testing.T) {
	t.Parallel()
	var open, most atomic.Int32
	g := setup(t)
	g.tap.before(func(r *http.Request) {
		if r.Method == http.MethodGet {
			most.Store(max(most.Load(), open.Add(1)))
			context := r.Context()
			go func() {
				<-context.Done()
				open.Add(-1)
			}()
		}
	})
	results := make([]storedResult, 100)
	for i := range results {
		results[i] = storedResult{filename: "deck.pdf", content: []byte("x")}
	}
	ids := g.record(t, results...)
	answer := g.get(t, archivePath(ids...), nil)
	archive, err := zip.NewReader(bytes.NewReader(answer.body), int64(len(answer.body)))
	require.NoError(t, err)
	require.Len(t, archive.File, 100)
	require.Equal(t, "deck (100).pdf", archive.File[99].Name)
	require.LessOrEqual(t, most.Load(), int32(2), "the end of one file may be seen after the beginning of the next")
}

func TestArchiveWithTheStoreDown(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	link := testbench.Proxy(t, bench.StoreEndpoint)
	g := setup(t, func(c *choices) { c.bench, c.storeEndpoint = bench, link.Through(bench.StoreEndpoint) })
	ids := g.record(t, storedResult{filename: "deck.pdf", content: []byte("x")})
	link.Cut()
	answer := g.get(t, archivePath(ids...), nil)
	answer.problem(t, problem.StoreUnavailable)
	require.Equal(t, "5", answer.Header.Get("Retry-After"))

	g.status.handle(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, problem.New(problem.StatusUnavailable, "It is down.").After(7e9))
	})
	answer = g.get(t, archivePath(ids...), nil)
	answer.problem(t, problem.StatusUnavailable)
	require.Equal(t, "7", answer.Header.Get("Retry-After"))
}

// TestArchiveThatBreaksOffIsNotTakenForWhole removes the second result, or makes it shorter than recorded, after the
// request was checked.
func TestArchiveThatBreaksOffIsNotTakenForWhole(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, g *gateway, key string) error{
		"removed": func(t *testing.T, g *gateway, key string) error {
			return g.objects.RemoveObject(t.Context(), g.bench.ResultsBucket, key, minio.RemoveObjectOptions{})
		},
		"cut": func(t *testing.T, g *gateway, key string) error {
			_, err := g.objects.PutObject(t.Context(), g.bench.ResultsBucket, key, strings.NewReader("sec"), 3, minio.PutObjectOptions{})
			return err
		},
		"longer": func(t *testing.T, g *gateway, key string) error {
			_, err := g.objects.PutObject(t.Context(), g.bench.ResultsBucket, key, strings.NewReader("seconds"), 7, minio.PutObjectOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := setup(t)
			ids := g.record(t, storedResult{filename: "a.pdf", content: content(100_000)}, storedResult{filename: "b.pdf", content: []byte("second")})
			require.NoError(t, damage(t, g, ids[1]+"/attempt.pdf"))
			response, err := http.Get(g.url + archivePath(ids...))
			require.NoError(t, err)
			defer response.Body.Close()
			require.Equal(t, http.StatusOK, response.StatusCode)
			_, err = io.Copy(io.Discard, response.Body)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		})
	}
}

// TestArchivesAreLimited requests as many archives as are sent at the same time, and one more.
func TestArchivesAreLimited(t *testing.T) {
	t.Parallel()
	g := setup(t)
	const limit = 64
	asked, release := make(chan struct{}, limit), make(chan struct{})
	g.status.handle(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-release
		problem.Write(w, r, problem.New(problem.JobNotFound, "The job is not recorded."))
	})
	path := "/v1/results.zip?id=" + uuid.NewString()
	answers := make(chan int, limit)
	for range limit {
		go func() {
			response, err := http.Get(g.url + path)
			if err != nil {
				answers <- 0
				return
			}
			_ = response.Body.Close()
			answers <- response.StatusCode
		}()
	}
	for range limit {
		<-asked
	}
	busy := g.get(t, path, nil)
	busy.problem(t, problem.Busy)
	require.NotEmpty(t, busy.Header.Get("Retry-After"))
	close(release)
	for range limit {
		require.Equal(t, http.StatusConflict, <-answers)
	}
	g.get(t, path, nil).problem(t, problem.ResultsMissing)
}
