package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"
)

// answerTimeout is how long a server may take for a short answer before the request is repeated.
const answerTimeout = 30 * time.Second

// errNotModified means that the client has the current state already.
var errNotModified = errors.New("not modified")

// newRequest returns a request with the headers that all requests have.
func (c *Client) newRequest(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", c.agent)
	return request, nil
}

// jobPath returns the path of a job. An id with a slash must not reach another resource.
func jobPath(id string) string { return "/v1/jobs/" + url.PathEscape(id) }

// send returns the answer if it is a success, and an error otherwise. The caller closes the body.
func (c *Client) send(request *http.Request) (*http.Response, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusOK && response.StatusCode < http.StatusMultipleChoices {
		return response, nil
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotModified {
		return response, errNotModified
	}
	return nil, problemOf(response)
}

// get requests JSON, repeatedly if necessary, and returns the headers of the answer. The server may hold the answer for
// wait.
func (c *Client) get(ctx context.Context, path string, header http.Header, wait time.Duration, into any) (http.Header, error) {
	var got http.Header
	err := c.repeat(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, wait+answerTimeout)
		defer cancel()
		request, err := c.newRequest(ctx, http.MethodGet, path, http.NoBody)
		if err != nil {
			return err
		}
		maps.Copy(request.Header, header)
		response, err := c.send(request)
		if response != nil {
			defer response.Body.Close()
			got = response.Header
		}
		if err != nil {
			return err
		}
		return decode(response, into)
	})
	return got, err
}

// decode reads the JSON of an answer.
func decode(response *http.Response, into any) error {
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("decode the answer of %s: %w", response.Request.URL.Redacted(), err)
	}
	return nil
}
