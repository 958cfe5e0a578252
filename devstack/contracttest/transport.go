package contracttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// Transport is an http.RoundTripper that reports each violation of a contract. Documents and results pass through it
// unread; events are checked while they are read.
type Transport struct {
	Contract *Contract
	// Base sends the requests.
	Base http.RoundTripper
	// Report is called with each violation, also concurrently.
	Report func(violation error)

	mutex    sync.Mutex
	observed map[Outcome]bool
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.Base.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	t.Check(request, response)
	return response, nil
}

// Check checks a response that was received in another way. It replaces the body, if it is JSON, by a copy.
func (t *Transport) Check(request *http.Request, response *http.Response) {
	body, err := readJSON(request, response)
	if err != nil {
		return // the connection broke, which the reader of the response is going to see
	}
	if err := t.Contract.check(request, response, body); err != nil {
		t.Report(fmt.Errorf("%s %s: %s: %w", request.Method, request.URL.Path, response.Status, err))
	}
	t.observe(request, response, body)
	if response.Header.Get("Content-Type") == "text/event-stream" {
		t.checkEvents(request, response)
	}
}

func (t *Transport) observe(request *http.Request, response *http.Response, body []byte) {
	seen := Outcome{Status: response.StatusCode}
	if route, _, err := t.Contract.router.FindRoute(request); err == nil {
		seen.Operation = route.Operation.OperationID
	}
	if response.StatusCode >= http.StatusBadRequest {
		var problem struct {
			Code string `json:"code"`
		}
		_ = json.Unmarshal(body, &problem) // it was checked
		seen.Code = problem.Code
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.observed == nil {
		t.observed = map[Outcome]bool{}
	}
	t.observed[seen] = true
}

// Observed reports whether a response had this outcome.
func (t *Transport) Observed(outcome Outcome) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.observed[outcome]
}

// readJSON returns the body of a response if it is JSON; the response keeps a copy. For other bodies it returns nil. If
// the body breaks off, the response keeps what has arrived, and the error.
func readJSON(request *http.Request, response *http.Response) ([]byte, error) {
	mediaType, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	isJSON := mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
	if !isJSON || request.Method == http.MethodHead || response.StatusCode == http.StatusNotModified {
		return nil, nil
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		response.Body = rest{io.MultiReader(bytes.NewReader(body), broken{err}), response.Body}
		return nil, err
	}
	response.Body = rest{bytes.NewReader(body), response.Body}
	return body, nil
}

// rest is a body that was read already.
type rest struct {
	io.Reader
	io.Closer
}

// broken is a reader that fails.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }
