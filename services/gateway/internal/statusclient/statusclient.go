// Package statusclient queries the status service about jobs, on its internal port. If the status service is down, only
// the current response is affected, never a job.
package statusclient

import (
	"bytes"
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
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/httpserver"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// Config configures the connection to the status service.
type Config struct {
	URL string `default:"http://127.0.0.1:8090" help:"URL of the status service on a private network: scheme, host and port."`
}

// Validate checks that the URL is that of a host.
func (c Config) Validate() error {
	parsed, err := url.Parse(c.URL)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return fmt.Errorf("setting status-url: %q is not a URL such as http://127.0.0.1:8090", c.URL)
	}
	if parsed.User != nil || parsed.Path != "" && parsed.Path != "/" || parsed.RawQuery != "" {
		return fmt.Errorf("setting status-url: %q must contain only scheme, host and port", parsed.Redacted())
	}
	return nil
}

const (
	dialTimeout = 2 * time.Second
	// answerTimeout limits the wait for an answer, in addition to the wait that the request itself specifies.
	answerTimeout = 10 * time.Second
	// maxAnswer is the maximum size of an answer that is read as a whole: a job with a few warnings has 2 KiB.
	maxAnswer  = 1 << 20
	retryAfter = 5 * time.Second
)

// Client is a client of the status service. It is safe for concurrent use.
type Client struct {
	base *url.URL
	http *http.Client
}

// New creates a client that sends its requests with transport, or over the network if transport is nil. It does not
// connect.
func New(config Config, transport http.RoundTripper) (*Client, error) {
	base, err := url.Parse(config.URL)
	if err != nil {
		return nil, fmt.Errorf("setting status-url: %w", err)
	}
	// JoinPath on an empty path returns a relative one, which the reverse proxy would send as it is: "GET v1/jobs/…
	// HTTP/1.1".
	base.Path = "/"
	if transport == nil {
		transport = newTransport()
	}
	return &Client{base: base, http: &http.Client{
		Transport:     otelhttp.NewTransport(transport),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		MaxIdleConns:          512,
		MaxIdleConnsPerHost:   512, // each long poll holds a connection
		IdleConnTimeout:       90 * time.Second,
		ResponseHeaderTimeout: httpserver.MaxWait + answerTimeout,
	}
}

// State is a job in the state that the status service has recorded.
type State struct {
	Job jobapi.Job
	// ETag identifies this version of the job.
	ETag string
}

// Recorded waits up to the given time until the status service has recorded the job, and returns it. If the job is not
// recorded in time, it returns an error. If the status service refuses connections or answers 503, it does so at once.
func (c *Client) Recorded(ctx context.Context, id string, wait time.Duration) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	target := c.url("/internal/jobs/" + id + "/recorded")
	// A little less than the client's own timeout, so that "not yet" arrives as an answer and the connection stays usable.
	target.RawQuery = url.Values{"wait": {(wait * 9 / 10).String()}}.Encode()
	return c.state(ctx, target, http.Header{})
}

// Changed waits up to the given time until the job is no longer in the version etag, and returns it, or ErrUnchanged if
// it still is.
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

// Known reports whether there is, or was, a job with that id. False is certain: the job will not appear later. Its errors
// are problems.
func (c *Client) Known(ctx context.Context, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := c.state(ctx, c.url(jobapi.Path(id)), http.Header{})
	code := problem.From(err).Code
	switch {
	case err == nil:
		return true, nil
	case code == problem.JobNotFound:
		return false, nil
	case problem.Describe(code).Status == http.StatusGone:
		return true, nil
	default:
		return false, err
	}
}

// Version is a version of a job.
type Version struct {
	// Number is greater than those of earlier versions of the job. It is at least 1.
	Number int64
	Status jobapi.Status
	// JSON is the public representation, on one line.
	JSON []byte
}

// Version returns the present version of the job, or ErrUnchanged if that has the known number; 0 stands for none.
func (c *Client) Version(ctx context.Context, id uuid.UUID, known int64) (Version, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	header := http.Header{}
	if known != 0 {
		header.Set("If-None-Match", fmt.Sprintf(`"%d"`, known))
	}
	var body json.RawMessage
	response, err := c.get(ctx, c.url(jobapi.Path(id.String())), header, &body)
	if err != nil {
		return Version{}, err
	}
	var state struct {
		Status jobapi.Status `json:"status"`
	}
	if err := json.Unmarshal(body, &state); err != nil {
		return Version{}, Unavailable(fmt.Errorf("decode the answer of the status service: %w", err))
	}
	var line bytes.Buffer
	if err := json.Compact(&line, body); err != nil {
		return Version{}, Unavailable(fmt.Errorf("decode the answer of the status service: %w", err))
	}
	number, err := strconv.ParseInt(strings.Trim(response.Get("ETag"), `"`), 10, 64)
	if err != nil {
		return Version{}, Unavailable(fmt.Errorf("decode the version of a job: %w", err))
	}
	return Version{Number: number, Status: state.Status, JSON: line.Bytes()}, nil
}

// ErrUnchanged means that the job is still in the given version.
var ErrUnchanged = errors.New("the job has not changed")

func (c *Client) state(ctx context.Context, target *url.URL, header http.Header) (State, error) {
	var known jobapi.Job
	response, err := c.get(ctx, target, header, &known)
	if err != nil {
		return State{}, err
	}
	return State{Job: known, ETag: response.Get("ETag")}, nil
}

// Result returns where the result of the job is stored. Its errors are problems: job-not-found, job-not-finished,
// job-failed, job-deleted, job-expired, or status-unavailable.
func (c *Client) Result(ctx context.Context, id string) (jobapi.Location, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var location jobapi.Location
	_, err := c.get(ctx, c.url("/internal/jobs/"+id+"/result"), http.Header{}, &location)
	return location, err
}

// get requests a JSON answer. Its errors are problems, or ErrUnchanged for a 304.
func (c *Client) get(ctx context.Context, target *url.URL, header http.Header, answer any) (http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("query the status service: %w", err)
	}
	request.Header = header
	response, err := c.http.Do(request)
	if err != nil {
		return nil, Unavailable(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, Unavailable(err)
	case response.StatusCode == http.StatusNotModified:
		return nil, ErrUnchanged
	case response.StatusCode != http.StatusOK:
		return nil, relayed(response, body)
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return nil, Unavailable(fmt.Errorf("decode the answer of the status service: %w", err))
	}
	return response.Header, nil
}

// reuseTimeout limits the wait for the result of an earlier job, which the status service limits to 1.5 s. If it is exceeded, the document is
// converted.
const reuseTimeout = 2 * time.Second

// ErrNotSent means that a request has not reached the status service, or not one that knows such requests.
var ErrNotSent = errors.New("the status service has not received the request")

// ErrRefused means that the status service has rejected this request. Other requests may succeed.
var ErrRefused = errors.New("the status service has rejected the request")

// Reuse asks the status service to answer a submission with the result of an earlier job that one of the builds has made, and
// reports whether the job was recorded. After an error other than ErrNotSent or ErrRefused, it may have been.
func (c *Client) Reuse(ctx context.Context, command *conversionv1.ConvertRequested, builds [][]byte) (bool, error) {
	encoded, err := proto.Marshal(command)
	if err != nil {
		return false, fmt.Errorf("encode a submission: %w", err)
	}
	body, err := json.Marshal(jobapi.Reuse{Command: encoded, Builds: builds})
	if err != nil {
		return false, fmt.Errorf("encode a submission: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, reuseTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url(jobapi.ReusePath).String(), bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("query the status service: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if failed, ok := errors.AsType[*net.OpError](err); ok && failed.Op == "dial" {
		return false, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	if err != nil {
		return false, Unavailable(err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusCreated:
		return true, nil
	case http.StatusNoContent:
		return false, nil
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return false, fmt.Errorf("%w: %s", ErrNotSent, response.Status)
	}
	answer, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer)) // it is only logged
	err = relayed(response, answer)
	if response.StatusCode == http.StatusBadRequest {
		err = fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return false, err
}

// relayed returns a problem of the status service as a problem of the gateway.
func relayed(response *http.Response, body []byte) error {
	var answer problem.Answer
	cause := fmt.Errorf("the status service answered %s to %s", response.Status, response.Request.URL.Path)
	if err := json.Unmarshal(body, &answer); err != nil || answer.Code == "" {
		return Unavailable(cause)
	}
	relayed := &problem.Error{Code: answer.Code, Detail: answer.Detail, Fields: answer.Errors}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		relayed.RetryAfter = time.Duration(seconds) * time.Second
	}
	return relayed.Because(cause)
}

// Unavailable returns the problem that the status service does not respond, with its cause for the log.
func Unavailable(cause error) *problem.Error {
	return problem.New(problem.StatusUnavailable, "The service that records the jobs does not respond.").After(retryAfter).Because(cause)
}

func (c *Client) url(path string) *url.URL { return c.base.JoinPath(path) }

// errDraining is the cause of the end of a long poll when this process stops.
var errDraining = errors.New("the gateway is draining")

// Poll forwards a client's GET or HEAD of a job to the status service, which may hold its answer for wait, and forwards
// the answer to the client. When drain is closed, it requests the job again, without a wait. If the status service does
// not answer, Poll returns a problem and has written nothing.
func (c *Client) Poll(w http.ResponseWriter, r *http.Request, id string, wait time.Duration, drain <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(r.Context(), wait+answerTimeout)
	defer cancel()
	target := c.url(jobapi.Path(id))
	if wait == 0 {
		return c.proxy(ctx, w, r, target, forwarded)
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
	err := c.proxy(waiting, w, r, target, forwardedWithWait)
	if err != nil && errors.Is(context.Cause(waiting), errDraining) {
		return c.proxy(ctx, w, r, target, forwarded)
	}
	return err
}

// Forward forwards a client's request, which has no body, to a path of the status service, with its query, and forwards the response to the
// client. If the status service does not respond, Forward returns a problem and has written nothing.
func (c *Client) Forward(w http.ResponseWriter, r *http.Request, path string) error {
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	target := c.url(path)
	target.RawQuery = r.URL.RawQuery
	return c.proxy(ctx, w, r, target, forwarded)
}

func (c *Client) proxy(ctx context.Context, w http.ResponseWriter, r *http.Request, target *url.URL, pass []string) error {
	var failure error
	proxy := httputil.ReverseProxy{
		Transport: c.http.Transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL = target
			r.Out.Host = ""
			r.Out.Header = selected(r.In.Header, pass)
			r.Out.Body, r.Out.ContentLength = http.NoBody, 0
		},
		ModifyResponse: func(response *http.Response) error {
			response.Header = selected(response.Header, returned)
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { failure = Unavailable(err) },
	}
	proxy.ServeHTTP(w, r.WithContext(ctx))
	return failure
}

// Headers that are forwarded between the client and the status service. No others are, so neither side learns anything
// about the other's network. Prefer is forwarded if there is a wait.
var (
	forwarded         = []string{"Accept", "If-None-Match"}
	forwardedWithWait = append(slices.Clone(forwarded), "Prefer")
	returned          = []string{"Cache-Control", "Content-Length", "Content-Type", "Etag", "Preference-Applied", "Retry-After", "Vary"}
)

func selected(header http.Header, names []string) http.Header {
	chosen := http.Header{}
	for name, values := range header {
		if slices.Contains(names, name) {
			chosen[name] = values
		}
	}
	return chosen
}
