package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Cancel cancels a job and returns it. A running conversion is stopped within about a second. Canceling a job twice is not an error.
// If the job has succeeded or failed, the error is a [*Problem] with [CodeJobNotCancelable], and the job is returned as well.
func (c *Client) Cancel(ctx context.Context, id string) (Job, error) {
	return c.change(ctx, id, "/cancel")
}

// Retry converts the document of a failed or canceled job again, with the same options, and returns the job, which has a new
// Generation. The error is a [*Problem] with [CodeJobNotRetryable] if the job has succeeded, was retried too often, or its document
// was deleted, and with [CodeJobNotFinished] if the job has not ended. In both cases the job is returned as well.
func (c *Client) Retry(ctx context.Context, id string) (Job, error) {
	return c.change(ctx, id, "/retry")
}

// Delete deletes a job with its document and result. A job that has not ended is canceled first. Later requests for the job fail
// with [CodeJobDeleted]. Deleting a job twice is not an error.
func (c *Client) Delete(ctx context.Context, id string) error {
	err := c.repeat(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		response, err := c.request(ctx, http.MethodDelete, jobPath(id))
		if response != nil {
			_ = response.Body.Close()
		}
		return err
	})
	if IsCode(err, CodeJobDeleted) { // perhaps by an earlier try whose response was lost
		return nil
	}
	return err
}

// change sends a request that changes a job. The request can be repeated: the server does nothing if the job was changed already.
func (c *Client) change(ctx context.Context, id, what string) (Job, error) {
	var job Job
	err := c.repeat(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		response, err := c.request(ctx, http.MethodPost, jobPath(id)+what)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		return decode(response, &job)
	})
	if problem, ok := errors.AsType[*Problem](err); ok && problem.JobState != nil {
		return *problem.JobState, err
	}
	if err == nil && job.ID == "" {
		err = fmt.Errorf("the response about the job %s is not a job", id)
	}
	return job, err
}

// request sends a request without a body once. The caller closes the body of the response.
func (c *Client) request(ctx context.Context, method, path string) (*http.Response, error) {
	request, err := c.newRequest(ctx, method, path, http.NoBody)
	if err != nil {
		return nil, err
	}
	return c.send(request)
}
