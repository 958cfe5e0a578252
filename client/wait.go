package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// longPoll is how long the server may hold the answer to a poll. It allows at most 60 s; many proxies end silent
// requests after 30 s.
const longPoll = 20 * time.Second

// Job returns the state of a job. A job that failed is not an error: see [Job.Err].
func (c *Client) Job(ctx context.Context, id string) (Job, error) {
	job, _, err := c.version(ctx, id, nil, 0)
	return job, err
}

// version returns the state of a job and the headers of the answer.
func (c *Client) version(ctx context.Context, id string, header http.Header, wait time.Duration) (Job, http.Header, error) {
	var job Job
	got, err := c.get(ctx, jobPath(id), header, wait, &job)
	if err == nil && job.ID == "" {
		err = fmt.Errorf("the response to a request for the job %s is not a job", id)
	}
	return job, got, err
}

// Wait returns the job when it has ended. Its error is a [*JobError] if the job failed; then the job is returned as well.
// Wait follows the job's events, or polls if there are none. It has no limit but ctx.
func (c *Client) Wait(ctx context.Context, job Job) (Job, error) {
	if !job.Ended() {
		events := stream{client: c, id: job.ID, yield: func(latest Job) bool { job = latest; return true }}
		_ = events.run(ctx) // the polls show whether it matters
	}
	job, err := c.poll(ctx, job)
	if err != nil {
		return job, err
	}
	return job, job.Err()
}

// poll polls until the job has ended.
func (c *Client) poll(ctx context.Context, job Job) (Job, error) {
	tag := ""
	for !job.Ended() {
		asked, wait, header := time.Now(), time.Duration(0), http.Header{}
		if tag != "" { // without a version to compare with, the server might wait for a later change
			wait = longPoll
			header.Set("If-None-Match", tag)
			header.Set("Prefer", "wait="+strconv.Itoa(int(longPoll/time.Second)))
		}
		latest, got, err := c.version(ctx, job.ID, header, wait)
		if err != nil && !errors.Is(err, errNotModified) {
			return job, err
		}
		if err == nil {
			job = latest
		}
		if latest := got.Get("ETag"); latest != tag {
			tag = latest
			continue
		}
		// A server that cannot hold the request answers at once, and says when to ask again.
		if err := pause(ctx, max(retryAfter(got), time.Second)-time.Since(asked)); err != nil {
			return job, err
		}
	}
	return job, nil
}

// pause returns after that time, or earlier with the cause of ctx.
func pause(ctx context.Context, length time.Duration) error {
	select {
	case <-time.After(length):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
