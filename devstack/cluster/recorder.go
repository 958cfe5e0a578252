package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Recorder is an HTTP transport that records what clients should not see. It is safe for concurrent use.
type Recorder struct {
	Transport http.RoundTripper

	mu       sync.Mutex
	requests int
	refused  []string // documented 503s
	failures []string // other 5xx responses
	broken   []string // connections
}

// RoundTrip implements [http.RoundTripper].
func (r *Recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.Transport.RoundTrip(request)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	switch {
	case err != nil && request.Context().Err() == nil:
		r.broken = append(r.broken, describe(request, err.Error()))
	case err == nil && response.StatusCode >= http.StatusInternalServerError:
		r.recordFailure(request, response)
	}
	return response, err
}

// recordFailure records a 5xx response. A 503 is documented if it is a problem with a code.
func (r *Recorder) recordFailure(request *http.Request, response *http.Response) {
	const limit = 64 << 10
	body, _ := io.ReadAll(io.LimitReader(response.Body, limit)) // a truncated body is not a valid problem
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	var problem struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	if response.StatusCode == http.StatusServiceUnavailable && json.Unmarshal(body, &problem) == nil && problem.Code != "" {
		r.refused = append(r.refused, describe(request, problem.Code+": "+problem.Detail))
		return
	}
	r.failures = append(r.failures, describe(request, response.Status+": "+string(body)))
}

func describe(request *http.Request, outcome string) string {
	return fmt.Sprintf("%s %s %s: %s", time.Now().Format(time.TimeOnly), request.Method, request.URL.Path, outcome)
}
