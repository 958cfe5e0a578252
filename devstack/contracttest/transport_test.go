package contracttest_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/contracttest"
)

const (
	jobPath = "/v1/jobs/01981c7e-6c1f-7d3a-9d0e-0c6b1c0c7b11"
	job     = `{"id":"01981c7e-6c1f-7d3a-9d0e-0c6b1c0c7b11","status":"queued","created_at":"2026-11-20T10:00:00Z","attempt":0,` +
		`"source":{"filename":"a.txt","content_type":"text/plain","size":1,"sha256":"00"},"target":{"format":"pdf","options":{}},` +
		`"links":{"self":"/v1/jobs/1","events":"/v1/jobs/1/events"}}`
	missing = `{"type":"tag:docmill,2026:problem:job-not-found","title":"T","status":404,"code":"job-not-found"}`
)

// exchange is a request and the response to it.
type exchange struct {
	method, path string
	status       int
	headers      string // name=value, separated by spaces
	body         string
}

// TestViolations plants one violation in each response.
func TestViolations(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		exchange

		violation string // a part of it; empty if there is none
	}{
		"a job":                       {exchange{"GET", jobPath, 200, `Content-Type=application/json ETag="1"`, job}, ""},
		"a problem":                   {exchange{"GET", jobPath, 404, "Content-Type=application/problem+json", missing}, ""},
		"a result":                    {exchange{"GET", jobPath + "/result", 200, `Content-Type=application/pdf ETag="1"`, "%PDF"}, ""},
		"an unknown status":           {exchange{"GET", jobPath, 418, "Content-Type=application/json", job}, "is not documented"},
		"an unknown content type":     {exchange{"GET", jobPath, 200, `Content-Type=text/plain ETag="1"`, job}, "is not documented"},
		"an unknown type of a result": {exchange{"GET", jobPath + "/result", 200, `Content-Type=application/x-new ETag="1"`, "?"}, "is not documented"},
		"no entity tag":               {exchange{"GET", jobPath, 200, "Content-Type=application/json", job}, "ETag"},
		"no entity tag for HEAD":      {exchange{"HEAD", jobPath, 200, "Content-Type=application/json", ""}, "ETag"},
		"no Location":                 {exchange{"POST", "/v1/jobs", 202, "Content-Type=application/json Retry-After=1", job}, "Location"},
		"a member that is missing":    {exchange{"GET", jobPath, 200, `Content-Type=application/json ETag="1"`, strings.Replace(job, `"attempt":0,`, "", 1)}, "attempt"},
		"a member that is unknown":    {exchange{"GET", jobPath, 200, `Content-Type=application/json ETag="1"`, strings.Replace(job, `"id"`, `"new":1,"id"`, 1)}, "new"},
		"a status of another kind":    {exchange{"GET", jobPath, 200, `Content-Type=application/json ETag="1"`, strings.Replace(job, "queued", "lost", 1)}, "status"},
		"a code of another operation": {exchange{"GET", jobPath, 404, "Content-Type=application/problem+json", strings.ReplaceAll(missing, "job-not-found", "route-not-found")}, "code"},
		"an event":                    {exchange{"GET", jobPath + "/events", 200, "Content-Type=text/event-stream", "id: 1\ndata: " + job + "\n\n"}, ""},
		"an event with a new member":  {exchange{"GET", jobPath + "/events", 200, "Content-Type=text/event-stream", "id: 1\ndata: " + strings.Replace(job, `"id"`, `"new":1,"id"`, 1) + "\n\n"}, "new"},
		"a path that is unknown":      {exchange{"GET", "/v1/new", 200, "Content-Type=application/json", "{}"}, "is not documented"},
		"a method that is unknown":    {exchange{"DELETE", "/v1/formats", 204, "", ""}, "is not documented"},
		"an option that is accepted":  {exchange{"POST", "/v1/jobs?pdf_a=9", 202, "Content-Type=application/json Location=/v1/jobs/1 Retry-After=1", job}, "pdf_a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			violations := c.send(t)
			if c.violation == "" {
				require.Empty(t, violations)
				return
			}
			require.Len(t, violations, 1)
			require.ErrorContains(t, violations[0], c.violation)
		})
	}
}

// send sends the request to a server that gives the response, and returns the violations.
func (e exchange) send(t *testing.T) (violations []error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/openapi.json" {
			http.ServeFile(w, r, "../../contract/openapi/openapi.json")
			return
		}
		for header := range strings.FieldsSeq(e.headers) {
			name, value, _ := strings.Cut(header, "=")
			w.Header().Set(name, value)
		}
		w.WriteHeader(e.status)
		_, _ = io.WriteString(w, e.body)
	}))
	t.Cleanup(server.Close)
	contract, err := contracttest.Fetch(t.Context(), server.URL)
	require.NoError(t, err)
	transport := &contracttest.Transport{
		Contract: contract, Base: server.Client().Transport, Report: func(violation error) { violations = append(violations, violation) },
	}
	request, err := http.NewRequestWithContext(t.Context(), e.method, server.URL+e.path, http.NoBody)
	require.NoError(t, err)
	response, err := transport.RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, e.body, string(body), "the reader gets the body")
	return violations
}

// TestBrokenBodyIsPassedOn checks that a response that breaks off is the reader's business.
func TestBrokenBodyIsPassedOn(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	transport := &contracttest.Transport{Base: roundTripper(func(*http.Request) (*http.Response, error) {
		body := io.NopCloser(io.MultiReader(strings.NewReader(`{"id":`), failing{broken}))
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}, nil
	}), Report: func(violation error) { t.Error(violation) }}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/", http.NoBody)
	require.NoError(t, err)
	response, err := transport.RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.ErrorIs(t, err, broken)
	require.Equal(t, `{"id":`, string(body))
}

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
