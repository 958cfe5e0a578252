// Package httpapi answers polls. Its public answer is GET /v1/jobs/{id}, which the gateway passes on; the rest, under
// /internal, is for the gateway alone.
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
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/services/status/internal/fold"
	"github.com/docmill/docmill/services/status/internal/postgres"
	"github.com/docmill/docmill/services/status/internal/watch"
)

// Jobs reads jobs.
type Jobs interface {
	// Job returns postgres.ErrNotFound for a job that clients cannot see.
	Job(ctx context.Context, id uuid.UUID) (fold.Job, error)
}

// api is the handlers.
type api struct {
	jobs    Jobs
	waiters *watch.Waiters
}

// Register adds the routes to engine.
func Register(engine *gin.Engine, jobs Jobs, waiters *watch.Waiters) {
	a := &api{jobs: jobs, waiters: waiters}
	engine.GET("/v1/jobs/:id", handle(a.job))
	engine.HEAD("/v1/jobs/:id", handle(a.job)) // net/http leaves the body out
	engine.GET("/internal/jobs/:id/recorded", handle(a.recorded))
	engine.GET("/internal/jobs/:id/result", handle(a.result))
}

const (
	// pollAgain is when it makes sense to poll an unfinished job again.
	pollAgain = time.Second
	// outage is when it makes sense to ask again while the database does not answer.
	outage = 2 * time.Second
	// clientGone is the status of an answer that nobody reads, for the log and the metrics; nginx uses the same.
	clientGone = 499
)

// handle gives handlers the id, and turns their errors into problems.
func handle(handler func(c *gin.Context, id uuid.UUID) error) gin.HandlerFunc {
	return httpserver.Handle(func(c *gin.Context) error {
		id, err := fold.ParseID(c.Param("id"))
		if err != nil {
			return notFound().Because(err)
		}
		err = handler(c, id)
		var answered *problem.Error
		switch {
		case err == nil || errors.As(err, &answered):
			return err
		case c.Request.Context().Err() != nil:
			c.AbortWithStatus(clientGone)
			return nil //nolint:nilerr // nobody is there to be told
		case errors.Is(err, postgres.ErrNotFound):
			return notFound()
		default:
			return problem.New(problem.StatusUnavailable, "The database of job states does not answer.").Because(err).After(outage)
		}
	})
}

func notFound() *problem.Error { return problem.New(problem.JobNotFound, "No job has this id.") }

// job is GET /v1/jobs/{id}.
func (a *api) job(c *gin.Context, id uuid.UUID) error {
	known := readTags(c.Request.Header.Values("If-None-Match"))
	wait, asked := httpserver.PreferWait(c.Request.Header)
	wait = min(wait, httpserver.MaxWait)

	var first, latest fold.Job
	look := func(ctx context.Context) (over bool, err error) {
		if latest, err = a.jobs.Job(ctx, id); err != nil {
			return false, err
		}
		if first.Version == 0 {
			first = latest
		}
		return latest.Status.Terminal() || moved(first, latest, known), nil
	}
	held, err := a.hold(c, id, wait, look)
	if err != nil {
		return err
	}
	header := c.Writer.Header()
	if asked && held {
		header.Set("Preference-Applied", httpserver.PreferenceApplied(wait))
	}
	header.Set("ETag", tagOf(latest))
	header.Set("Cache-Control", "no-cache")
	if !latest.Status.Terminal() {
		header.Set("Retry-After", seconds(pollAgain))
	}
	if known.match(tagOf(latest)) {
		c.Status(http.StatusNotModified)
		return nil
	}
	c.JSON(http.StatusOK, represent(latest))
	return nil
}

// moved tells whether what a long poll waits for has happened: the job is no longer what the client knows, or, when the
// client did not say what that is, its state is no longer what it was when the client asked. Progress alone is news only
// to the former.
func moved(first, latest fold.Job, known tags) bool {
	if known.given() {
		return !known.match(tagOf(latest)) || known.any
	}
	return latest.Status != first.Status || latest.Attempt != first.Attempt
}

// hold calls look until it says that the wait is over, the time is up, or the server drains. When too many are waiting
// already it looks once and does not wait: the client gets the present state and is told when to poll again, which RFC
// 7240 allows, and which one read pays for. A 503 in its place would cost the client its answer.
func (a *api) hold(c *gin.Context, id uuid.UUID, wait time.Duration, look func(context.Context) (bool, error)) (held bool, err error) {
	ctx := c.Request.Context()
	if wait > 0 {
		err = a.waiters.Until(ctx, id, wait, httpserver.Draining(ctx), look)
		if !errors.Is(err, watch.ErrFull) {
			return true, err
		}
	}
	_, err = look(ctx)
	return wait == 0, err
}

// recorded is GET /internal/jobs/{id}/recorded?wait=2s: it answers as soon as clients can see the job.
func (a *api) recorded(c *gin.Context, id uuid.UUID) error {
	wait, err := time.ParseDuration(c.DefaultQuery("wait", "0s"))
	if err != nil || wait < 0 {
		return problem.New(problem.OptionInvalid, "The wait cannot be read.").With(problem.Field{Name: "wait", Detail: "a duration such as 2s"})
	}
	var recorded *fold.Job
	look := func(ctx context.Context) (bool, error) {
		latest, err := a.jobs.Job(ctx, id)
		if errors.Is(err, postgres.ErrNotFound) {
			return false, nil
		}
		recorded = &latest
		return true, err
	}
	if _, err := a.hold(c, id, min(wait, httpserver.MaxWait), look); err != nil {
		return err
	}
	if recorded == nil {
		return notFound()
	}
	c.Header("ETag", tagOf(*recorded)) // the gateway goes on waiting from here
	c.JSON(http.StatusOK, represent(*recorded))
	return nil
}

// result is GET /internal/jobs/{id}/result: where the result's bytes lie.
func (a *api) result(c *gin.Context, id uuid.UUID) error {
	found, err := a.jobs.Job(c.Request.Context(), id)
	if err != nil {
		return err
	}
	switch {
	case found.Status == jobapi.Succeeded:
		c.JSON(http.StatusOK, locate(found))
		return nil
	case found.Failure != nil:
		return problem.New(problem.JobFailed, "The job failed with the error %s.", found.Failure.Code)
	case found.Status.Terminal():
		return problem.New(problem.JobFailed, "The job is %s.", found.Status)
	default:
		return problem.New(problem.JobNotFinished, "The job is %s.", found.Status).After(pollAgain)
	}
}
