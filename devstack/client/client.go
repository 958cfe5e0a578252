// Package client speaks Docmill's public HTTP API as any client would, with nothing but HTTP and JSON: for the demo, the
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

// waitSeconds is how long the server may hold an answer back until the state changes (Prefer: wait, at most 60).
const waitSeconds = 20

// Client of the public API at one base URL. It is safe for concurrent use.
type Client struct {
	base string
	http *http.Client
}

// New makes a client of the Docmill at that URL, http://127.0.0.1:8080 for example.
func New(baseURL string) *Client {
	transport := &http.Transport{MaxIdleConnsPerHost: maxIdle}
	return &Client{base: strings.TrimSuffix(baseURL, "/"), http: &http.Client{Transport: transport}}
}

// maxIdle keeps the connections of a whole load test; http's default of 2 would make new ones all the time.
const maxIdle = 64

// Job is a job's JSON, as far as it is used here.
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
	// pause is what the server asked to wait for before the next question.
	pause time.Duration
}

// Warning is something about a result that its owner should know.
type Warning struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Report of a job that has ended.
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

// Result of a job that succeeded.
type Result struct {
	Filename string `json:"filename"`
	Size     int64  `json:"size"`
	SHA256   string `json:"sha256"`
	Pages    int    `json:"pages"`
}

// Problem is the RFC 9457 answer to a request that failed.
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

// Ended tells whether the job's state is final.
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

// SubmitFile uploads a file as it is read, under its own name.
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

// Submit uploads a document of that many bytes. It is accepted when there is no error.
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

// SubmitForm uploads a document from memory with options, as a form: the only way that secret options are taken.
func (c *Client) SubmitForm(ctx context.Context, name string, document []byte, options map[string]string) (Job, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for option, value := range options {
		if err := form.WriteField(option, value); err != nil {
			return Job{}, fmt.Errorf("writing the option %s: %w", option, err)
		}
	}
	part, err := form.CreateFormFile("file", name)
	if err != nil {
		return Job{}, fmt.Errorf("writing the document: %w", err)
	}
	if _, err := part.Write(document); err != nil {
		return Job{}, fmt.Errorf("writing the document: %w", err)
	}
	if err := form.Close(); err != nil {
		return Job{}, fmt.Errorf("ending the form: %w", err)
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

// Formats asks what can be converted into what, and leaves the answer unread.
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

// Poll asks how a job stands.
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

// Next asks for the job with its state, which the server holds back until it has changed. A server that does not gets
// the pause that it asked for.
func (c *Client) Next(ctx context.Context, last Job) (Job, error) {
	if last.Links.Self == "" {
		return Job{}, errors.New("the job's links.self is missing")
	}
	asked := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.absolute(last.Links.Self), http.NoBody)
	if err != nil {
		return Job{}, err
	}
	if last.etag != "" { // without a version to compare with, the server would wait for the one after the next
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

// Result begins the download; the caller closes it.
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

// absolute makes a link of the API a URL; links may be paths.
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

// job sends a request that is answered with a job.
func (c *Client) job(request *http.Request) (Job, error) {
	response, err := c.do(request)
	if err != nil {
		return Job{}, err
	}
	defer response.Body.Close()
	var answer Job
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return Job{}, fmt.Errorf("reading the job that %s answered: %w", request.URL, err)
	}
	if answer.ID == "" {
		return Job{}, fmt.Errorf("%s did not answer with a job", request.URL)
	}
	answer.etag = response.Header.Get("ETag")
	answer.pause = time.Second
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		answer.pause = time.Duration(seconds) * time.Second
	}
	return answer, nil
}

var errNotModified = errors.New("nothing has changed")

// do sends a request and turns every answer that is not a success into an error that says what the server said.
func (c *Client) do(request *http.Request) (*http.Response, error) {
	response, err := c.http.Do(request)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("nobody listens at %s: is Docmill running? `make up` starts it", request.URL.Host)
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
	return nil, refusal(response)
}

// refusal reads the problem (RFC 9457) that an API answers with, or says that it was no such API.
func refusal(response *http.Response) error {
	const enough = 64 << 10
	body, err := io.ReadAll(io.LimitReader(response.Body, enough))
	if err != nil {
		return fmt.Errorf("reading the answer %s: %w", response.Status, err)
	}
	problem := &Problem{}
	if json.Unmarshal(body, problem) != nil || problem.Code == "" {
		return fmt.Errorf("%s answered %s, which no Docmill says: %.200s", response.Request.URL, response.Status, strings.TrimSpace(string(body)))
	}
	problem.Status = response.StatusCode
	return problem
}
