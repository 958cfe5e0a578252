// Package statusclient asks the service status about jobs, on its internal port. Status being down is a problem of the
// answer at hand, never of a job.
package statusclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/httpserver"
)

// Config says where status is.
type Config struct {
	URL string `default:"http://127.0.0.1:8090" help:"URL of the service status, on a private network: scheme, host and port."`
}

// Validate refuses what is no URL of a host.
func (c Config) Validate() error {
	parsed, err := url.Parse(c.URL)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return fmt.Errorf("setting status-url: %q is no URL such as http://127.0.0.1:8090", c.URL)
	}
	if parsed.User != nil || parsed.Path != "" && parsed.Path != "/" || parsed.RawQuery != "" {
		return fmt.Errorf("setting status-url: %q must name scheme, host and port only", parsed.Redacted())
	}
	return nil
}

const (
	dialTimeout = 2 * time.Second
	// answerTimeout bounds the wait for an answer beyond what the request itself asks status to wait.
	answerTimeout = 10 * time.Second
	// maxAnswer bounds an answer that is read whole: a job with a few warnings has 2 KiB.
	maxAnswer  = 1 << 20
	retryAfter = 5 * time.Second
)

// Client asks status. It is safe for concurrent use.
type Client struct {
	base *url.URL
	http *http.Client
}

// New makes a client. It does not connect.
func New(config Config) (*Client, error) {
	base, err := url.Parse(config.URL)
	if err != nil {
		return nil, fmt.Errorf("setting status-url: %w", err)
	}
	// JoinPath on an empty path gives a relative one, which the reverse proxy would send as it is: "GET v1/jobs/… HTTP/1.1".
	base.Path = "/"
	return &Client{base: base, http: &http.Client{
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
			MaxIdleConns:          512,
			MaxIdleConnsPerHost:   512, // long polls hold a connection each
			IdleConnTimeout:       90 * time.Second,
			ResponseHeaderTimeout: httpserver.MaxWait + answerTimeout,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// State is a job as status knows it.
type State struct {
	Job jobapi.Job
	// ETag names this version of the job.
	ETag string
}

// Recorded waits, at most so long, until status knows the job, and gives it. When status does not know it in time, or is
// down, it gives an error; a status that refuses connections or answers 503 is found out at once.
func (c *Client) Recorded(ctx context.Context, id string, wait time.Duration) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	target := c.url("/internal/jobs/" + id + "/recorded")
	// A little less than our own patience, so that a "not yet" comes as an answer and leaves the connection usable.
	target.RawQuery = url.Values{"wait": {(wait * 9 / 10).String()}}.Encode()
	return c.state(ctx, target, http.Header{})
}

// Changed waits, at most so long, until the job is no longer in the version etag, and gives it: ErrUnchanged when it still
// is.
func (c *Client) Changed(ctx context.Context, id, etag string, wait time.Duration) (State, error) {
	seconds := int((wait + time.Second - 1) / time.Second)
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+answerTimeout)
	defer cancel()
	header := http.Header{"Prefer": {"wait=" + strconv.Itoa(seconds)}}
	if etag != "" {
		header.Set("If-None-Match", etag)
	}
	return c.state(ctx, c.url(jobapi.Path(id)), header)
}

// ErrUnchanged says that the job is still in the version that was named.
var ErrUnchanged = errors.New("the job has not changed")

func (c *Client) state(ctx context.Context, target *url.URL, header http.Header) (State, error) {
	var known jobapi.Job
	response, err := c.ask(ctx, target, header, &known)
	if err != nil {
		return State{}, err
	}
	return State{Job: known, ETag: response.Get("ETag")}, nil
}

// Result says where the result of the job lies. Its errors are problems: job-not-found, job-not-finished, job-failed, or
// status-unavailable.
func (c *Client) Result(ctx context.Context, id string) (jobapi.Location, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var location jobapi.Location
	_, err := c.ask(ctx, c.url("/internal/jobs/"+id+"/result"), http.Header{}, &location)
	return location, err
}

// ask gets a JSON answer. Its errors are problems, and ErrUnchanged for a 304.
func (c *Client) ask(ctx context.Context, target *url.URL, header http.Header, answer any) (http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask status: %w", err)
	}
	request.Header = header
	inject(ctx, header)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, unavailable(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, unavailable(err)
	case response.StatusCode == http.StatusNotModified:
		return nil, ErrUnchanged
	case response.StatusCode != http.StatusOK:
		return nil, relayed(response, body)
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return nil, unavailable(fmt.Errorf("decode what status answered: %w", err))
	}
	return response.Header, nil
}

// relayed gives a problem of status as one of ours: the client asked us.
func relayed(response *http.Response, body []byte) error {
	var told problem.Answer
	cause := fmt.Errorf("status answered %s to %s", response.Status, response.Request.URL.Path)
	if err := json.Unmarshal(body, &told); err != nil || told.Code == "" {
		return unavailable(cause)
	}
	relayed := &problem.Error{Code: told.Code, Detail: told.Detail, Fields: told.Errors}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		relayed.RetryAfter = time.Duration(seconds) * time.Second
	}
	return relayed.Because(cause)
}

func unavailable(cause error) *problem.Error {
	return problem.New(problem.StatusUnavailable, "The service that knows the jobs does not answer.").After(retryAfter).Because(cause)
}

func (c *Client) url(path string) *url.URL { return c.base.JoinPath(path) }

func inject(ctx context.Context, header http.Header) {
	otel.GetTextMapPropagator().Inject(ctx, propagation.HeaderCarrier(header))
}

// errDraining is the cause of the end of a long poll when this process stops.
var errDraining = errors.New("the gateway is draining")

// Poll passes a client's GET or HEAD of a job on to status, which may hold its answer for wait, and passes the answer
// back. When drain closes, it asks once more, for an answer without a wait. It returns a problem when status does not
// answer, and has written nothing then.
func (c *Client) Poll(w http.ResponseWriter, r *http.Request, id string, wait time.Duration, drain <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(r.Context(), wait+answerTimeout)
	defer cancel()
	if wait == 0 {
		return c.proxy(ctx, w, r, id, passedOn())
	}
	waiting, interrupt := context.WithCancelCause(ctx)
	defer interrupt(nil)
	go func() {
		select {
		case <-drain:
			interrupt(errDraining)
		case <-waiting.Done():
		}
	}()
	err := c.proxy(waiting, w, r, id, append(passedOn(), "Prefer"))
	if err != nil && errors.Is(context.Cause(waiting), errDraining) {
		return c.proxy(ctx, w, r, id, passedOn())
	}
	return err
}

func (c *Client) proxy(ctx context.Context, w http.ResponseWriter, r *http.Request, id string, pass []string) error {
	var failure error
	proxy := httputil.ReverseProxy{
		Transport: c.http.Transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL = c.url(jobapi.Path(id))
			r.Out.Host = ""
			r.Out.Header = selected(r.In.Header, pass)
			inject(ctx, r.Out.Header)
			r.Out.Body, r.Out.ContentLength = http.NoBody, 0
		},
		ModifyResponse: func(response *http.Response) error {
			response.Header = selected(response.Header, passedBack())
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { failure = unavailable(err) },
	}
	proxy.ServeHTTP(w, r.WithContext(ctx))
	return failure
}

// Headers that pass between the client and status; nothing else does, so neither side learns of the other's network.
// Prefer passes when there is a wait.
func passedOn() []string { return []string{"Accept", "If-None-Match"} }

func passedBack() []string {
	return []string{"Cache-Control", "Content-Length", "Content-Type", "Etag", "Preference-Applied", "Retry-After", "Vary"}
}

func selected(header http.Header, names []string) http.Header {
	chosen := http.Header{}
	for name, values := range header {
		if slices.Contains(names, name) {
			chosen[name] = values
		}
	}
	return chosen
}
