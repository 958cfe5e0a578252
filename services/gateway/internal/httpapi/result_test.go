package httpapi_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/devstack/testbench"
)

// finish stores a result of that many bytes, records it in status and returns the job's id.
func (g *gateway) finish(t testing.TB, filename string, content []byte) string {
	t.Helper()
	id := uuid.NewString()
	location := jobapi.Location{
		ObjectKey: id + "/attempt.pdf", Filename: filename, ContentType: "application/pdf",
		Size: int64(len(content)), SHA256: sha256Of(content),
	}
	_, err := g.objects.PutObject(t.Context(), g.bench.ResultsBucket, location.ObjectKey, bytes.NewReader(content), location.Size, minio.PutObjectOptions{})
	require.NoError(t, err)
	g.status.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/internal/jobs/"+id+"/result" {
			t.Errorf("status got a request for %s", r.URL.Path)
		}
		writeJSON(w, location)
	})
	return id
}

func content(n int64) []byte {
	all, _ := io.ReadAll(textOf(n))
	return all
}

func TestResult(t *testing.T) {
	t.Parallel()
	g := setup(t)
	body := content(3 << 20)
	sum := sha256.Sum256(body)
	etag := `"` + hex.EncodeToString(sum[:]) + `"`
	path := "/v1/jobs/" + g.finish(t, `Präsentation "2".pdf`, body) + "/result"

	whole := g.get(t, path, nil)
	require.Equal(t, http.StatusOK, whole.StatusCode)
	require.Equal(t, body, whole.body)
	for name, want := range map[string]string{
		"Content-Type": "application/pdf", "Content-Length": strconv.Itoa(len(body)), "Etag": etag, "Accept-Ranges": "bytes",
		"Content-Disposition":    `attachment; filename="Pr_sentation _2_.pdf"; filename*=UTF-8''Pr%C3%A4sentation%20%222%22.pdf`,
		"Repr-Digest":            "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":",
		"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-cache",
	} {
		require.Equal(t, want, whole.Header.Get(name), name)
	}

	head := g.request(t, http.MethodHead, path, nil, nil)
	require.Equal(t, http.StatusOK, head.StatusCode)
	require.Empty(t, head.body)
	require.Equal(t, int64(len(body)), head.ContentLength)
	require.Equal(t, etag, head.Header.Get("ETag"))
}

func TestResultConditionsAndRanges(t *testing.T) {
	t.Parallel()
	g := setup(t)
	body := content(100_000)
	etag := `"` + sha256Of(body) + `"`
	path := "/v1/jobs/" + g.finish(t, "deck.pdf", body) + "/result"
	for name, test := range map[string]struct {
		header http.Header
		status int
		body   []byte
		ranged string
	}{
		"same ETag":               {http.Header{"If-None-Match": {`"other", W/` + etag}}, http.StatusNotModified, nil, ""},
		"other ETag":              {http.Header{"If-None-Match": {`"other"`}}, http.StatusOK, body, ""},
		"beginning":               {http.Header{"Range": {"bytes=0-9"}}, http.StatusPartialContent, body[:10], "bytes 0-9/100000"},
		"middle":                  {http.Header{"Range": {"bytes=50000-50000"}}, http.StatusPartialContent, body[50000:50001], "bytes 50000-50000/100000"},
		"to the end":              {http.Header{"Range": {"bytes=99990-"}}, http.StatusPartialContent, body[99990:], "bytes 99990-99999/100000"},
		"beyond the end":          {http.Header{"Range": {"bytes=99990-200000"}}, http.StatusPartialContent, body[99990:], "bytes 99990-99999/100000"},
		"the last ones":           {http.Header{"Range": {"bytes=-5"}}, http.StatusPartialContent, body[99995:], "bytes 99995-99999/100000"},
		"everything":              {http.Header{"Range": {"bytes=0-"}}, http.StatusPartialContent, body, "bytes 0-99999/100000"},
		"several":                 {http.Header{"Range": {"bytes=0-1,5-6"}}, http.StatusOK, body, ""},
		"if still the same":       {http.Header{"Range": {"bytes=0-9"}, "If-Range": {etag}}, http.StatusPartialContent, body[:10], "bytes 0-9/100000"},
		"if it were another":      {http.Header{"Range": {"bytes=0-9"}, "If-Range": {`"other"`}}, http.StatusOK, body, ""},
		"precondition that holds": {http.Header{"If-Match": {etag}}, http.StatusOK, body, ""},
	} {
		answer := g.get(t, path, test.header)
		require.Equal(t, test.status, answer.StatusCode, name)
		require.Equal(t, test.ranged, answer.Header.Get("Content-Range"), name)
		require.True(t, bytes.Equal(test.body, answer.body), name)
	}

	for _, unsatisfiable := range []string{"bytes=100000-", "bytes=x-y"} {
		answer := g.get(t, path, http.Header{"Range": {unsatisfiable}})
		answer.problem(t, problem.RangeInvalid)
		require.Empty(t, answer.Header.Get("ETag"))
		require.Empty(t, answer.Header.Get("Content-Disposition"))
	}
	require.Equal(t, "bytes */100000", g.get(t, path, http.Header{"Range": {"bytes=100000-"}}).Header.Get("Content-Range"))
	g.get(t, path, http.Header{"If-Match": {`"other"`}}).problem(t, problem.PreconditionFailed)
}

func TestResultThatIsNotThere(t *testing.T) {
	t.Parallel()
	g := setup(t)
	path := "/v1/jobs/" + uuid.NewString() + "/result"
	for _, code := range []problem.Code{problem.JobNotFound, problem.JobNotFinished, problem.JobFailed, problem.StatusUnavailable} {
		g.status.handle(func(w http.ResponseWriter, r *http.Request) {
			problem.Write(w, r, problem.New(code, "So it is.").After(7e9).Because(io.EOF))
		})
		answer := g.get(t, path, nil)
		answered := answer.problem(t, code)
		require.Equal(t, "So it is.", answered.Detail)
		require.Equal(t, problem.Remedy(code), answered.Remedy)
		require.Equal(t, path, answered.Instance)
		require.Equal(t, "7", answer.Header.Get("Retry-After"))
		require.NotEmpty(t, answered.TraceID)
	}
	g.status.handle(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no JSON", http.StatusBadGateway) })
	g.get(t, path, nil).problem(t, problem.StatusUnavailable)
	g.get(t, "/v1/jobs/1/result", nil).problem(t, problem.JobNotFound)

	id := g.finish(t, "deck.pdf", content(10))
	require.NoError(t, g.objects.RemoveObject(t.Context(), g.bench.ResultsBucket, id+"/attempt.pdf", minio.RemoveObjectOptions{}))
	answer := g.get(t, "/v1/jobs/"+id+"/result", nil)
	answer.problem(t, problem.Internal)
	require.Empty(t, answer.Header.Get("Repr-Digest"))
}

func TestResultWithTheStoreDown(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	link := testbench.Proxy(t, bench.StoreEndpoint)
	g := setup(t, func(c *choices) { c.bench, c.storeEndpoint = bench, link.Through(bench.StoreEndpoint) })
	path := "/v1/jobs/" + g.finish(t, "deck.pdf", content(100)) + "/result"
	link.Cut()
	for _, ranged := range []http.Header{nil, {"Range": {"bytes=5-9"}}} {
		answer := g.get(t, path, ranged)
		answer.problem(t, problem.StoreUnavailable)
		require.Equal(t, "5", answer.Header.Get("Retry-After"))
		require.Empty(t, answer.Header.Get("Content-Range"))
		require.Empty(t, answer.Header.Get("Accept-Ranges"))
	}
}

func TestResultThatBreaksOffIsNotTakenForWhole(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	link := testbench.Proxy(t, bench.StoreEndpoint)
	g := setup(t, func(c *choices) { c.bench, c.storeEndpoint = bench, link.Through(bench.StoreEndpoint) })
	path := "/v1/jobs/" + g.finish(t, "deck.pdf", content(40<<20)) + "/result"
	response, err := http.Get(g.url + path)
	require.NoError(t, err)
	defer response.Body.Close()
	_, err = io.CopyN(io.Discard, response.Body, 1<<20)
	require.NoError(t, err)
	link.Cut()
	_, err = io.Copy(io.Discard, response.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// TestStalledDownloadIsEnded: the store's connection stays open, but nothing comes.
func TestStalledDownloadIsEnded(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	link := testbench.Proxy(t, bench.StoreEndpoint)
	g := setup(t, func(c *choices) {
		c.bench, c.storeEndpoint, c.untapped = bench, link.Through(bench.StoreEndpoint), true
		c.downloadStall = time.Second
	})
	path := "/v1/jobs/" + g.finish(t, "deck.pdf", content(40<<20)) + "/result"
	response, err := http.Get(g.url + path)
	require.NoError(t, err)
	defer response.Body.Close()
	_, err = io.CopyN(io.Discard, response.Body, 1<<20)
	require.NoError(t, err)
	link.Stall()
	_, err = io.Copy(io.Discard, response.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "the download has ended")
}

func TestDownloadsKeepTheConnection(t *testing.T) {
	t.Parallel()
	g := setup(t)
	id := g.finish(t, "deck.pdf", content(100_000))
	c := g.dial(t)
	for range 3 {
		c.send("GET /v1/jobs/" + id + "/result HTTP/1.1\r\nHost: gateway\r\n\r\n")
		require.Equal(t, http.StatusOK, c.answer().StatusCode)
	}
}

func TestSlowDownloadDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	g := setup(t)
	body := content(30 << 20)
	id := g.finish(t, "deck.pdf", body)
	c := g.dial(t) // it asks and then does not read
	c.send("GET /v1/jobs/" + id + "/result HTTP/1.1\r\nHost: gateway\r\n\r\n")
	for range 3 {
		require.True(t, bytes.Equal(body, g.get(t, "/v1/jobs/"+id+"/result", nil).body))
	}
	require.Len(t, c.answer().body, len(body), "the slow one gets everything, too")
}

func TestPoll(t *testing.T) {
	t.Parallel()
	for _, inProcess := range []bool{false, true} {
		t.Run(fmt.Sprintf("in process %t", inProcess), func(t *testing.T) {
			t.Parallel()
			poll(t, setup(t, func(c *choices) { c.statusInProcess = inProcess }))
		})
	}
}

func poll(t *testing.T, g *gateway) {
	t.Helper()
	id := uuid.NewString()
	g.status.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/jobs/"+id || r.URL.RawQuery != "" {
			t.Errorf("status got a request for %s", r.URL)
		}
		for _, name := range []string{"Cookie", "X-Forwarded-For", "X-Secret", "Authorization"} {
			if r.Header.Get(name) != "" {
				t.Errorf("%s was passed on", name)
			}
		}
		if !strings.HasPrefix(r.Header.Get("Traceparent"), "00-0af7651916cd43dd8448eb211c80319c-") {
			t.Errorf("the trace is lost: %s", r.Header.Get("Traceparent"))
		}
		header := w.Header()
		header.Set("ETag", `"4"`)
		header.Set("Server", "internal")
		header.Set("X-Internal", "10.0.0.1")
		if r.Header.Get("If-None-Match") == `"4"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		header.Set("Retry-After", "1")
		header.Set("Cache-Control", "no-cache")
		if prefer := r.Header.Get("Prefer"); prefer != "" {
			header.Set("Preference-Applied", prefer)
		}
		writeJSON(w, jobapi.Job{ID: id, Status: jobapi.Running})
	})
	header := http.Header{
		"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		"Cookie":      {"a=b"}, "X-Secret": {"x"}, "X-Forwarded-For": {"1.2.3.4"}, "Authorization": {"Bearer x"},
	}
	answer := g.get(t, "/v1/jobs/"+id+"?x=y", header)
	require.Equal(t, jobapi.Running, answer.job(t, http.StatusOK).Status)
	for name, want := range map[string]string{"Etag": `"4"`, "Retry-After": "1", "Cache-Control": "no-cache", "Server": "", "X-Internal": "", "Preference-Applied": ""} {
		require.Equal(t, want, answer.Header.Get(name), name)
	}
	require.Empty(t, g.request(t, http.MethodHead, "/v1/jobs/"+id, header, nil).body)

	header.Set("Prefer", "wait=5")
	require.Equal(t, "wait=5", g.get(t, "/v1/jobs/"+id, header).Header.Get("Preference-Applied"))
	header.Set("If-None-Match", `"4"`)
	require.Equal(t, http.StatusNotModified, g.get(t, "/v1/jobs/"+id, header).StatusCode)
}

func TestPollOfProblems(t *testing.T) {
	t.Parallel()
	g := setup(t)
	g.get(t, "/v1/jobs/"+uuid.NewString(), nil).problem(t, problem.JobNotFound)
	called := false
	g.status.handle(func(http.ResponseWriter, *http.Request) { called = true })
	for _, id := range []string{"x", "01981C7E-0000-7000-8000-000000000000", "urn:uuid:01981c7e-0000-7000-8000-000000000000"} {
		g.get(t, "/v1/jobs/"+id, nil).problem(t, problem.JobNotFound)
	}
	g.get(t, "/v1/jobs/..%2F..%2Finternal", nil).problem(t, problem.RouteNotFound)
	require.False(t, called)

	g = setup(t, func(c *choices) { c.statusURL = "http://127.0.0.1:1" })
	for _, header := range []http.Header{nil, {"Prefer": {"wait=5"}}} {
		answer := g.get(t, "/v1/jobs/"+uuid.NewString(), header)
		answer.problem(t, problem.StatusUnavailable)
		require.Equal(t, "5", answer.Header.Get("Retry-After"))
	}
}

// TestPollThatIsGivenUp keeps a client's impatience apart from a failure of ours.
func TestPollThatIsGivenUp(t *testing.T) {
	t.Parallel()
	for _, inProcess := range []bool{false, true} {
		t.Run(fmt.Sprintf("in process %t", inProcess), func(t *testing.T) {
			t.Parallel()
			pollThatIsGivenUp(t, inProcess)
		})
	}
}

func pollThatIsGivenUp(t *testing.T, inProcess bool) {
	t.Helper()
	log, logs := observer.New(zap.DebugLevel)
	g := setup(t, func(c *choices) { c.log, c.statusInProcess = zap.New(log), inProcess })
	called := make(chan struct{})
	g.status.handle(func(_ http.ResponseWriter, r *http.Request) {
		close(called)
		<-r.Context().Done()
	})
	c := g.dial(t).send("GET /v1/jobs/" + uuid.NewString() + " HTTP/1.1\r\nHost: gateway\r\nPrefer: wait=60\r\n\r\n")
	<-called
	require.NoError(t, c.Close())
	require.Eventually(t, func() bool { return logs.FilterMessage("request").FilterField(zap.Int("status", 499)).Len() == 1 }, patience, 5*time.Millisecond)
}

func TestFormats(t *testing.T) {
	t.Parallel()
	g := setup(t)
	answer := g.get(t, "/v1/formats", nil)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
	require.Contains(t, string(answer.body), `{"format":"pptx","title":"PowerPoint presentation","media_type":"`+deckType+
		`","family":"presentation","extensions":["pptx"],"targets":[{"format":"pdf","title":"PDF","media_type":"application/pdf"},{"format":"pptx",`)
	require.Contains(t, string(answer.body), `{"name":"to","description":"The format to convert to.","kind":"choice","allowed":["pdf"`)
	require.Contains(t, string(answer.body), `{"name":"notes",`)
	require.Contains(t, string(answer.body), `"kind":"choice","allowed":["none","with","only"],"families":["presentation"],"targets":["pdf"`)
	require.Contains(t, string(answer.body), `"max_upload_size":67108864`)
	require.NotEmpty(t, answer.Header.Get("ETag"))
	require.Equal(t, http.StatusNotModified, g.get(t, "/v1/formats", http.Header{"If-None-Match": {answer.Header.Get("ETag")}}).StatusCode)
	require.Equal(t, http.StatusOK, g.get(t, "/v1/formats", http.Header{"Range": {"bytes=99999-"}}).StatusCode)
}
