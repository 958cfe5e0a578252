// Package client is a minimal client of Docmill's public HTTP API, written with plain HTTP and JSON, for the demo, the
// acceptance tests and the benchmark.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// waitSeconds is how long the server may wait for a change of state before it answers (Prefer: wait, at most 60).
const waitSeconds = 20

// Client is a client of the public API at one base URL. It is safe for concurrent use.
type Client struct {
	base string
	http *http.Client
}

// New returns a client of the Docmill at that URL, for example http://127.0.0.1:8080.
func New(baseURL string) *Client {
	return NewWithTransport(baseURL, &http.Transport{MaxIdleConnsPerHost: maxIdle})
}

// NewWithTransport is like [New]; it sends its requests with transport.
func NewWithTransport(baseURL string, transport http.RoundTripper) *Client {
	return &Client{base: strings.TrimSuffix(baseURL, "/"), http: &http.Client{Transport: transport}}
}

// maxIdle is enough for the connections of a load test. With the default of 2, most requests would open a new one.
const maxIdle = 64

// Job has the members of a job that are used here.
type Job struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Attempt  int    `json:"attempt"`
	Progress *struct {
		Phase   string `json:"phase"`
		Percent int    `json:"percent"`
	} `json:"progress"`
	Source struct {
		Filename string `json:"filename"`
		Size     int64  `json:"size"`
	} `json:"source"`
	Target struct {
		Format  string         `json:"format"`
		Options map[string]any `json:"options"`
	} `json:"target"`
	Result   *Result   `json:"result"`
	Warnings []Warning `json:"warnings"`
	Report   *Report   `json:"report"`
	Error    *struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
		Remedy string `json:"remedy"`
	} `json:"error"`
	Links struct {
		Self   string `json:"self"`
		Result string `json:"result"`
	} `json:"links"`

	etag string
	// pause is the value of Retry-After.
	pause time.Duration
}

// Warning is a warning about a result.
type Warning struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Report is the report of a job that has ended.
type Report struct {
	Engine  string             `json:"engine"`
	Seconds map[string]float64 `json:"seconds"`
	Fonts   []struct {
		Name       string `json:"name"`
		ReplacedBy string `json:"replaced_by"`
		Found      bool   `json:"found"`
	} `json:"fonts"`
	BlockedLinks        []string `json:"blocked_links"`
	BlockedLinksTotal   int      `json:"blocked_links_total"`
	MacrosBlocked       bool     `json:"macros_blocked"`
	HiddenSlidesLeftOut int      `json:"hidden_slides_left_out"`
}

// Result is the result of a job that succeeded.
type Result struct {
	Filename string `json:"filename"`
	Size     int64  `json:"size"`
	SHA256   string `json:"sha256"`
	Pages    int    `json:"pages"`
}

// Problem is the RFC 9457 problem of a request that failed.
type Problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy"`
	Code   string `json:"code"`
}

// Error returns the server's title, detail, remedy and code.
func (p *Problem) Error() string {
	return fmt.Sprintf("%s: %s (%d %s, code %s)", p.Title, sentences(p.Detail, p.Remedy), p.Status, http.StatusText(p.Status), p.Code)
}

// Ended reports whether the state of the job is final.
func (j Job) Ended() bool { return j.Status != "queued" && j.Status != "running" }

// sentences joins those that are not empty.
func sentences(all ...string) string {
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), " ")
}

// Failure returns why a job did not succeed, or nil if it did.
func (j Job) Failure() error {
	switch {
	case j.Status == "succeeded":
		return nil
	case j.Error == nil:
		return fmt.Errorf("the job ended as %s", j.Status)
	default:
		return fmt.Errorf("the job ended as %s: %s (%s)", j.Status, sentences(j.Error.Detail, j.Error.Remedy), j.Error.Code)
	}
}

// SubmitFile uploads a file, streamed, under its own name.
func (c *Client) SubmitFile(ctx context.Context, path string) (Job, error) {
	file, err := os.Open(path)
	if err != nil {
		return Job{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return Job{}, err
	}
	return c.Submit(ctx, filepath.Base(path), file, info.Size())
}

// Submit uploads a document of size bytes. The document is accepted if the error is nil.
func (c *Client) Submit(ctx context.Context, name string, document io.Reader, size int64) (Job, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/v1/jobs?to=pdf", document)
	if err != nil {
		return Job{}, err
	}
	request.ContentLength = size
	request.Header.Set("Content-Type", "application/octet-stream")
	request.Header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	return c.job(request)
}

// SubmitForm uploads a document and options as a form. Secret options are accepted only in forms.
func (c *Client) SubmitForm(ctx context.Context, name string, document []byte, options map[string]string) (Job, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for option, value := range options {
		if err := form.WriteField(option, value); err != nil {
			return Job{}, fmt.Errorf("write the option %s: %w", option, err)
		}
	}
	part, err := form.CreateFormFile("file", name)
	if err != nil {
		return Job{}, fmt.Errorf("write the document: %w", err)
	}
	if _, err := part.Write(document); err != nil {
		return Job{}, fmt.Errorf("write the document: %w", err)
	}
	if err := form.Close(); err != nil {
		return Job{}, fmt.Errorf("close the form: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/v1/jobs", &body)
	if err != nil {
		return Job{}, err
	}
	request.Header.Set("Content-Type", form.FormDataContentType())
	return c.job(request)
}

// SubmitBytes uploads a document from memory.
func (c *Client) SubmitBytes(ctx context.Context, name string, document []byte) (Job, error) {
	return c.Submit(ctx, name, bytes.NewReader(document), int64(len(document)))
}

// Formats requests the list of formats and discards it.
func (c *Client) Formats(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/formats", http.NoBody)
	if err != nil {
		return err
	}
	response, err := c.do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// Poll returns the current state of a job.
func (c *Client) Poll(ctx context.Context, id string) (Job, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/jobs/"+id, http.NoBody)
	if err != nil {
		return Job{}, err
	}
	return c.job(request)
}

// Await waits until the job has ended.
func (c *Client) Await(ctx context.Context, job Job) (Job, error) {
	for !job.Ended() {
		var err error
		if job, err = c.Next(ctx, job); err != nil {
			return job, err
		}
	}
	return job, nil
}

// Next returns the job after its next change: it asks the server to wait for the change (Prefer: wait). If the server
// answers earlier without a change, Next pauses for the time in Retry-After.
func (c *Client) Next(ctx context.Context, last Job) (Job, error) {
	if last.Links.Self == "" {
		return Job{}, errors.New("the job has no links.self")
	}
	asked := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.absolute(last.Links.Self), http.NoBody)
	if err != nil {
		return Job{}, err
	}
	if last.etag != "" { // without a version to compare with, the server might wait for a later change
		request.Header.Set("Prefer", "wait="+strconv.Itoa(waitSeconds))
		request.Header.Set("If-None-Match", last.etag)
	}
	now, err := c.job(request)
	if errors.Is(err, errNotModified) {
		now, err = last, nil
	}
	if err != nil || now.Ended() || now.etag != last.etag {
		return now, err
	}
	if early := now.pause - time.Since(asked); early > 0 {
		select {
		case <-ctx.Done():
			return Job{}, context.Cause(ctx)
		case <-time.After(early):
		}
	}
	return now, nil
}

// Result starts the download of the result. The caller closes it.
func (c *Client) Result(ctx context.Context, from Job) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.absolute(from.Links.Result), http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := c.do(request)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

// absolute returns the URL of a link of the API, which may be a path.
func (c *Client) absolute(link string) string {
	base, err := url.Parse(c.base)
	if err != nil {
		return link
	}
	resolved, err := base.Parse(link)
	if err != nil {
		return link
	}
	return resolved.String()
}

// job sends a request and decodes the job in the answer.
func (c *Client) job(request *http.Request) (Job, error) {
	response, err := c.do(request)
	if err != nil {
		return Job{}, err
	}
	defer response.Body.Close()
	var answer Job
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return Job{}, fmt.Errorf("decode the job from %s: %w", request.URL, err)
	}
	if answer.ID == "" {
		return Job{}, fmt.Errorf("the answer from %s has no job", request.URL)
	}
	answer.etag = response.Header.Get("ETag")
	answer.pause = time.Second
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		answer.pause = time.Duration(seconds) * time.Second
	}
	return answer, nil
}

var errNotModified = errors.New("not modified")

// do sends a request and returns an error for every answer that is not a success.
func (c *Client) do(request *http.Request) (*http.Response, error) {
	response, err := c.http.Do(request)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("no server listens at %s; is Docmill running? `make up` starts it", request.URL.Host)
	}
	if err != nil {
		return nil, err
	}
	if response.StatusCode < http.StatusMultipleChoices {
		return response, nil
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotModified {
		return nil, errNotModified
	}
	return nil, problemOf(response)
}

// problemOf decodes the problem (RFC 9457) in an answer. If there is none, the server is not Docmill.
func problemOf(response *http.Response) error {
	const enough = 64 << 10
	body, err := io.ReadAll(io.LimitReader(response.Body, enough))
	if err != nil {
		return fmt.Errorf("read the body of the answer %s: %w", response.Status, err)
	}
	problem := &Problem{}
	if json.Unmarshal(body, problem) != nil || problem.Code == "" {
		return fmt.Errorf("%s answered %s, which is not a Docmill answer: %.200s",
			response.Request.URL, response.Status, strings.TrimSpace(string(body)))
	}
	problem.Status = response.StatusCode
	return problem
}
