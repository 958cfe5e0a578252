package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// waitSeconds is how long the server may hold an answer back until the state changes (Prefer: wait, at most 60).
const waitSeconds = 20

// client of the public API.
type client struct{ base string }

// job is what of a job's JSON is shown.
type job struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Progress *struct {
		Phase   string `json:"phase"`
		Percent int    `json:"percent"`
	} `json:"progress"`
	Source struct {
		Filename string `json:"filename"`
		Size     int64  `json:"size"`
	} `json:"source"`
	Result *struct {
		Filename string `json:"filename"`
		Size     int64  `json:"size"`
		SHA256   string `json:"sha256"`
		Pages    int    `json:"pages"`
	} `json:"result"`
	Error *struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	} `json:"error"`
	Links struct {
		Self   string `json:"self"`
		Result string `json:"result"`
	} `json:"links"`

	etag string
	// pause is what the server asked to wait for before the next question.
	pause time.Duration
}

func (j job) ended() bool { return j.Status != "queued" && j.Status != "running" }

func (j job) progress() string {
	if j.Progress == nil {
		return ""
	}
	return fmt.Sprintf("%s, %d %%", j.Progress.Phase, j.Progress.Percent)
}

func (j job) describe() string { return j.Status + j.progress() }

func (j job) failure() error {
	if j.Error == nil {
		return fmt.Errorf("the job ended as %s", j.Status)
	}
	return fmt.Errorf("the job ended as %s: %s (%s)", j.Status, j.Error.Detail, j.Error.Code)
}

// submit uploads the file as it is read.
func (c client) submit(ctx context.Context, path string) (job, error) {
	file, err := os.Open(path)
	if err != nil {
		return job{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return job{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/v1/jobs?to=pdf", file)
	if err != nil {
		return job{}, err
	}
	request.ContentLength = info.Size()
	request.Header.Set("Content-Type", "application/octet-stream")
	request.Header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": filepath.Base(path)}))
	return c.job(request)
}

// next asks for the job with its state, which the server holds back until it has changed. A server that does not gets
// the pause that it asked for.
func (c client) next(ctx context.Context, last job) (job, error) {
	if last.Links.Self == "" {
		return job{}, errors.New("the job's links.self is missing")
	}
	asked := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.absolute(last.Links.Self), http.NoBody)
	if err != nil {
		return job{}, err
	}
	if last.etag != "" { // without a version to compare with, the server would wait for the one after the next
		request.Header.Set("Prefer", "wait="+strconv.Itoa(waitSeconds))
		request.Header.Set("If-None-Match", last.etag)
	}
	now, err := c.job(request)
	if errors.Is(err, errNotModified) {
		now, err = last, nil
	}
	if err != nil || now.ended() || now.etag != last.etag {
		return now, err
	}
	if early := now.pause - time.Since(asked); early > 0 {
		select {
		case <-ctx.Done():
			return job{}, context.Cause(ctx)
		case <-time.After(early):
		}
	}
	return now, nil
}

// result begins the download.
func (c client) result(ctx context.Context, from job) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.absolute(from.Links.Result), http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := do(request)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

// absolute makes a link of the API a URL; links may be paths.
func (c client) absolute(link string) string {
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
func (c client) job(request *http.Request) (job, error) {
	response, err := do(request)
	if err != nil {
		return job{}, err
	}
	defer response.Body.Close()
	var answer job
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return job{}, fmt.Errorf("reading the job that %s answered: %w", request.URL, err)
	}
	if answer.ID == "" {
		return job{}, fmt.Errorf("%s did not answer with a job", request.URL)
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
func do(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultClient.Do(request)
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
	var problem struct {
		Title  string `json:"title"`
		Detail string `json:"detail"`
		Code   string `json:"code"`
	}
	const enough = 64 << 10
	body, err := io.ReadAll(io.LimitReader(response.Body, enough))
	if err != nil {
		return fmt.Errorf("reading the answer %s: %w", response.Status, err)
	}
	if json.Unmarshal(body, &problem) != nil || problem.Code == "" {
		return fmt.Errorf("%s answered %s, which no Docmill says: %.200s", response.Request.URL, response.Status, strings.TrimSpace(string(body)))
	}
	return fmt.Errorf("%s: %s (%s, code %s)", problem.Title, problem.Detail, response.Status, problem.Code)
}
