package acceptance_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/contracttest"
)

// unprovoked are the documented outcomes that no request provokes on a Docmill whose servers work, with the reason.
var unprovoked = map[string]string{
	"busy":               "needs more requests than are served at once: packages admission and control",
	"internal":           "would be a bug",
	"job-expired":        "takes a minute: TestExpiredJob",
	"listing-disabled":   "needs a server without allow-listing: TestListingIsOffByDefault",
	"queue-unavailable":  "the queue must fail: TestServersFailAndRecover",
	"queue-unconfirmed":  "the queue must fail: TestServersFailAndRecover",
	"status-unavailable": "the database must fail: TestServersFailAndRecover",
	"store-unavailable":  "the store must fail: TestServersFailAndRecover",
}

// TestEveryDocumentedOutcome provokes every response that the OpenAPI document describes. The contract checks each.
func TestEveryDocumentedOutcome(t *testing.T) {
	t.Parallel()
	settings := []string{"DOCMILL_MAX_UPLOAD_SIZE=8MiB", "DOCMILL_UPLOAD_IDLE_TIMEOUT=1s", "DOCMILL_ALLOW_LISTING=true"}
	b := startEmbedded(t, filepath.Join(t.TempDir(), "data"), settings...)
	job := b.succeed(t, b.submit(t, "synth-letter.txt"))
	failed := b.fail(t, b.submit(t, "synth-all-hidden.pptx"), client.CodeDocumentEmpty)

	b.provokeRefusals(t)
	b.provokeInterruptions(t)
	b.provokeStates(t, job, failed)
	b.provokeChanges(t, job)
	b.provokeReferences(t)

	for _, outcome := range b.contract.Contract.Outcomes() {
		reason := unprovoked[outcome.Code]
		require.Equal(t, reason == "", b.contract.Observed(outcome), "%s %s", outcome, reason)
	}
}

// request sends a request and checks the outcome. It returns the headers of the response.
func (b *testBundle) request(t *testing.T, want contracttest.Outcome, method, path string, headers map[string]string, body []byte) http.Header {
	t.Helper()
	request, err := http.NewRequestWithContext(b.ctx, method, b.system.URL()+path, bytes.NewReader(body))
	require.NoError(t, err)
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := b.contract.RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, want.Status, response.StatusCode, "%s %s: %s", method, path, answer)
	if method != http.MethodHead && want.Code != "" {
		require.Contains(t, string(answer), `"code":"`+want.Code+`"`)
	}
	return response.Header
}

// jobPath returns the path of a job.
func jobPath(job client.Job) string { return "/v1/jobs/" + job.ID }

// provokeRefusals sends submissions, most of which are refused.
func (b *testBundle) provokeRefusals(t *testing.T) {
	t.Helper()
	read := func(name string) []byte {
		content, err := os.ReadFile(document(name))
		require.NoError(t, err)
		return content
	}
	const entities = `<!DOCTYPE svg [<!ENTITY a "%s"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><svg xmlns="http://www.w3.org/2000/svg"><text>&b;</text></svg>`
	text := []byte("A letter.")
	for _, c := range []struct {
		status      int
		code        string
		query, name string
		headers     map[string]string
		body        []byte
	}{
		{202, "", "to=pdf&pages=1&tagged=true", "a.txt", nil, text},
		{200, "", "", "a.txt", map[string]string{"Prefer": "wait=60"}, text},
		{202, "", "", "a.txt", map[string]string{"Idempotency-Key": "key"}, text},
		{202, "", "", "a.txt", map[string]string{"Idempotency-Key": `"key"`}, text},
		{422, "idempotency-key-reused", "", "b.txt", map[string]string{"Idempotency-Key": "key"}, text},
		{400, "file-empty", "", "a.txt", nil, nil},
		{400, "file-missing", "", "", nil, text},
		{400, "file-name-invalid", "", strings.Repeat("a", 300) + ".txt", nil, text},
		{400, "form-invalid", "", "a.txt", map[string]string{"Content-Type": "multipart/mixed; boundary=b"}, text},
		{400, "header-invalid", "", "a.txt", map[string]string{"Content-Encoding": "gzip"}, text},
		{400, "option-invalid", "color=red&pages=0", "a.txt", nil, text},
		{413, "file-too-large", "", "a.txt", nil, make([]byte, 8<<20+1)},
		{415, "file-type-contradicted", "", "a.pptx", nil, read("synth-png-named.pptx")},
		{415, "file-unrecognized", "", "a.bin", nil, []byte{0, 1, 2, 3, 0xfe, 0xff}},
		{415, "format-unsupported", "to=xlsx", "a.txt", nil, text},
		{422, "password-required", "", "a.odt", nil, read("unoserver__simple.encrypted.odt")},
		{422, "document-malformed", "", "a.pptx", nil, read("sample.pptx")[:4096]},
		{422, "document-too-complex", "", "a.svg", nil, fmt.Appendf(nil, entities, strings.Repeat("a", 1000))},
	} {
		headers := map[string]string{"Content-Type": "application/octet-stream"}
		if c.name != "" {
			headers["Content-Disposition"] = `attachment; filename="` + c.name + `"`
		}
		maps.Copy(headers, c.headers)
		b.request(t, contracttest.Outcome{Status: c.status, Code: c.code}, http.MethodPost, "/v1/jobs?"+c.query, headers, c.body)
	}
	b.provokeDeleted(t, text)
	var form bytes.Buffer
	writer := multipart.NewWriter(&form)
	for range 2 {
		part, err := writer.CreateFormFile("file", "a.txt")
		require.NoError(t, err)
		_, err = part.Write(text)
		require.NoError(t, err)
	}
	require.NoError(t, writer.Close())
	b.request(t, contracttest.Outcome{Status: 400, Code: "file-repeated"}, http.MethodPost, "/v1/jobs",
		map[string]string{"Content-Type": writer.FormDataContentType()}, form.Bytes())
	job, err := b.submitWith("synth-letter.txt", map[string]string{"pages": "1", "tagged": "true", "tag": "a form", "user_password": "secret"})
	require.NoError(t, err)
	_, err = b.client.Wait(b.ctx, job)
	require.NoError(t, err)
}

// provokeInterruptions sends uploads that do not end.
func (b *testBundle) provokeInterruptions(t *testing.T) {
	t.Helper()
	for code, leave := range map[string]func(*net.TCPConn) error{
		"upload-interrupted": (*net.TCPConn).CloseWrite,
		"upload-too-slow":    func(*net.TCPConn) error { return nil },
	} {
		address, err := url.Parse(b.system.URL())
		require.NoError(t, err)
		connection, err := (&net.Dialer{}).DialContext(b.ctx, "tcp", address.Host)
		require.NoError(t, err)
		request, err := http.NewRequestWithContext(b.ctx, http.MethodPost, b.system.URL()+"/v1/jobs", http.NoBody)
		require.NoError(t, err)
		_, err = fmt.Fprintf(connection, "POST /v1/jobs HTTP/1.1\r\nHost: %s\r\nContent-Disposition: attachment; filename=a.txt\r\nContent-Length: 100\r\n\r\nA letter", address.Host)
		require.NoError(t, err)
		require.NoError(t, leave(connection.(*net.TCPConn)))
		response, err := http.ReadResponse(bufio.NewReader(connection), request)
		require.NoError(t, err)
		b.contract.Check(request, response)
		answer, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Contains(t, string(answer), `"code":"`+code+`"`)
		require.NoError(t, connection.Close())
	}
}

// provokeStates requests jobs and results in all states.
func (b *testBundle) provokeStates(t *testing.T, succeeded, failed client.Job) {
	t.Helper()
	const unknown = "/v1/jobs/00000000-0000-4000-8000-000000000000"
	waiting := b.submit(t, "odftoolkit__Presentation7.odp") // takes seconds
	get := func(status int, code, path string, headers ...string) http.Header {
		given := map[string]string{}
		for i := 0; i < len(headers); i += 2 {
			given[headers[i]] = headers[i+1]
		}
		return b.request(t, contracttest.Outcome{Status: status, Code: code}, http.MethodGet, path, given, nil)
	}
	get(409, "job-not-finished", jobPath(waiting)+"/result")
	get(200, "", jobPath(waiting)+"/deliveries")
	get(404, "job-not-found", unknown+"/deliveries")
	job, result := jobPath(succeeded), jobPath(succeeded)+"/result"
	tag := get(200, "", job).Get("ETag")
	get(304, "", job, "If-None-Match", tag)
	get(404, "job-not-found", unknown)
	get(404, "job-not-found", "/v1/jobs/no-id")
	get(200, "", job+"/events")
	get(204, "", job+"/events", "Last-Event-ID", strings.Trim(tag, `"`))
	get(404, "job-not-found", unknown+"/events")
	tag = get(200, "", result).Get("ETag")
	get(206, "", result, "Range", "bytes=0-9")
	get(304, "", result, "If-None-Match", tag)
	get(404, "job-not-found", unknown+"/result")
	get(409, "job-failed", jobPath(failed)+"/result")
	get(412, "precondition-failed", result, "If-Match", `"other"`)
	get(416, "range-invalid", result, "Range", "bytes=999999999-")
	const archive = "/v1/results.zip"
	get(200, "", archive+"?id="+succeeded.ID)
	get(400, "parameter-invalid", archive)
	get(409, "results-missing", archive+"?id="+succeeded.ID+"&id="+failed.ID+"&id="+waiting.ID)
	get(200, "", "/v1/jobs?status=succeeded&tag=none&page_size=1")
	get(400, "parameter-invalid", "/v1/jobs?page_size=0")
	get(200, "", "/v1/stats")
	for _, path := range []string{job, result} {
		header := b.request(t, contracttest.Outcome{Status: 200}, http.MethodHead, path, nil, nil)
		known := map[string]string{"If-None-Match": header.Get("ETag")}
		b.request(t, contracttest.Outcome{Status: 304}, http.MethodHead, path, known, nil)
	}
	b.request(t, contracttest.Outcome{Status: 206}, http.MethodHead, result, map[string]string{"Range": "bytes=0-9"}, nil)
	_, err := b.client.Wait(b.ctx, waiting)
	require.NoError(t, err)
}

// provokeChanges cancels, retries and deletes jobs in all states.
func (b *testBundle) provokeChanges(t *testing.T, succeeded client.Job) {
	t.Helper()
	const unknown = "/v1/jobs/00000000-0000-4000-8000-000000000000"
	send := func(status int, code, method, path string) {
		b.request(t, contracttest.Outcome{Status: status, Code: code}, method, path, nil, nil)
	}
	waiting := b.submit(t, "odftoolkit__Presentation7.odp") // takes seconds
	job := jobPath(waiting)
	send(409, "job-not-finished", http.MethodPost, job+"/retry")
	send(200, "", http.MethodPost, job+"/cancel")
	send(202, "", http.MethodPost, job+"/retry")
	send(204, "", http.MethodDelete, job)
	send(409, "job-not-cancelable", http.MethodPost, jobPath(succeeded)+"/cancel")
	send(409, "job-not-retryable", http.MethodPost, jobPath(succeeded)+"/retry")
	for _, one := range []struct{ method, suffix string }{
		{http.MethodPost, "/cancel"}, {http.MethodPost, "/retry"}, {http.MethodDelete, ""},
	} {
		send(404, "job-not-found", one.method, unknown+one.suffix)
		send(410, "job-deleted", one.method, job+one.suffix)
	}
	for _, suffix := range []string{"", "/events", "/result", "/deliveries"} {
		send(410, "job-deleted", http.MethodGet, job+suffix)
	}
}

// provokeDeleted repeats a submission whose job was deleted.
func (b *testBundle) provokeDeleted(t *testing.T, text []byte) {
	t.Helper()
	headers := map[string]string{
		"Content-Type": "application/octet-stream", "Content-Disposition": "attachment; filename=a.txt", "Idempotency-Key": "deleted",
	}
	job := b.request(t, contracttest.Outcome{Status: 202}, http.MethodPost, "/v1/jobs", headers, text).Get("Location")
	b.request(t, contracttest.Outcome{Status: 204}, http.MethodDelete, job, nil, nil)
	b.request(t, contracttest.Outcome{Status: 410, Code: "job-deleted"}, http.MethodPost, "/v1/jobs", headers, text)
}

// provokeReferences requests what rarely changes, and what does not exist.
func (b *testBundle) provokeReferences(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/v1/formats", "/v1/openapi.json", "/docs"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			header := b.request(t, contracttest.Outcome{Status: 200}, method, path, nil, nil)
			known := map[string]string{"If-None-Match": header.Get("ETag")}
			b.request(t, contracttest.Outcome{Status: 304}, method, path, known, nil)
		}
	}
	b.request(t, contracttest.Outcome{Status: 404, Code: "route-not-found"}, http.MethodGet, "/v2/jobs", nil, nil)
	b.request(t, contracttest.Outcome{Status: 405, Code: "method-not-allowed"}, http.MethodDelete, "/v1/formats", nil, nil)
}
