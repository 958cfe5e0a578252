package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/status/internal/representation"
	"github.com/docmill/docmill/services/status/job"
)

// represent returns the public representation of a visible job. While the job has not ended, expires_at is the latest possible time.
func (a *api) represent(j job.Job) jobapi.Job {
	public := representation.Of(j)
	if !j.Status.Terminal() {
		kept := a.Retention
		if wanted := j.Submission.Retention; wanted > 0 {
			kept = min(kept, wanted)
		}
		latest := public.CreatedAt.Add(a.JobDeadline + kept)
		public.ExpiresAt = &latest
	}
	return public
}

// known returns a job that clients can see.
func (a *api) known(ctx context.Context, id uuid.UUID) (job.Job, error) {
	found, err := a.find(ctx, id)
	if err != nil {
		return job.Job{}, err
	}
	if found == nil {
		return job.Job{}, unknown()
	}
	return *found, nil
}

// cancel handles POST /v1/jobs/{id}/cancel.
func (a *api) cancel(c *gin.Context, id uuid.UUID) error {
	return a.change(c, id, http.StatusOK, a.Control.Cancel)
}

// retry handles POST /v1/jobs/{id}/retry.
func (a *api) retry(c *gin.Context, id uuid.UUID) error {
	return a.change(c, id, http.StatusAccepted, a.Control.Retry)
}

// change calls do with the job, and answers with the job that it returns. A problem shows the job as well.
func (a *api) change(c *gin.Context, id uuid.UUID, status int, do func(context.Context, job.Job) (job.Job, error)) error {
	j, err := a.known(c.Request.Context(), id)
	if err != nil {
		return err
	}
	// A change that has begun is completed even if the client disconnects.
	j, err = do(context.WithoutCancel(c.Request.Context()), j)
	if j.Gone != "" {
		return gone(j.Gone)
	}
	var conflict *problem.Error
	if errors.As(err, &conflict) && problem.Describe(conflict.Code).Status == http.StatusConflict {
		return conflict.Showing(a.represent(j))
	}
	if err != nil {
		return err
	}
	header := c.Writer.Header()
	header.Set("ETag", tagOf(j))
	header.Set("Cache-Control", "no-store")
	if !j.Status.Terminal() {
		header.Set("Retry-After", seconds(pollInterval))
	}
	c.JSON(status, a.represent(j))
	return nil
}

// delete handles DELETE /v1/jobs/{id}.
func (a *api) delete(c *gin.Context, id uuid.UUID) error {
	j, err := a.known(c.Request.Context(), id)
	if err != nil {
		return err
	}
	if err := a.Control.Delete(context.WithoutCancel(c.Request.Context()), j); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

// unexpired returns the job, or the problem that its files are to be deleted, although the purge may not have come to it.
func (a *api) unexpired(ctx context.Context, j job.Job) (*job.Job, error) {
	if j.ExpiresAt.IsZero() {
		return &j, nil
	}
	now, err := a.Clock.Now(ctx)
	if err != nil {
		return nil, err
	}
	if expired(j, now) {
		return nil, gone(job.Expired)
	}
	return &j, nil
}

func expired(j job.Job, now time.Time) bool { return !j.ExpiresAt.IsZero() && !j.ExpiresAt.After(now) }
