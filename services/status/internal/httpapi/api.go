// Package httpapi is the HTTP API of the status service. The routes under /v1 are public: the gateway passes them on. The
// routes under /internal are for the gateway alone.
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
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/internal/control"
	"github.com/docmill/docmill/services/status/internal/feed"
	"github.com/docmill/docmill/services/status/internal/representation"
	"github.com/docmill/docmill/services/status/internal/reuse"
	"github.com/docmill/docmill/services/status/internal/statistics"
	"github.com/docmill/docmill/services/status/internal/watch"
	"github.com/docmill/docmill/services/status/internal/watermark"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// Deps are the dependencies of the API.
type Deps struct {
	Jobs  jobstore.Store
	Clock *clock.Clock
	// Control carries out the requests of clients.
	Control *control.Control
	// Reuse answers submissions with earlier results.
	Reuse *reuse.Reuse
	// JobDeadline is how long after its submission the sweep ends a job, and Retention how long its files are kept after that.
	JobDeadline, Retention time.Duration
	// Waiters are the long polls.
	Waiters *watch.Waiters
	// Feed is what gateways subscribe to.
	Feed *feed.Feed
}

// api has the handlers.
type api struct {
	Deps

	statistics *statistics.Statistics
}

// Register adds the routes to engine.
func Register(engine *gin.Engine, deps Deps) {
	a := &api{deps, statistics.New(deps.Jobs)}
	engine.GET(jobapi.JobsPath, answer(a.list))
	engine.GET(jobapi.StatsPath, answer(a.stats))
	engine.GET("/v1/jobs/:id", handle(a.job))
	engine.HEAD("/v1/jobs/:id", handle(a.job)) // net/http omits the body
	engine.DELETE("/v1/jobs/:id", handle(a.delete))
	engine.POST("/v1/jobs/:id/cancel", handle(a.cancel))
	engine.POST("/v1/jobs/:id/retry", handle(a.retry))
	engine.GET("/v1/jobs/:id/deliveries", handle(a.deliveries))
	engine.GET("/internal/jobs/:id/recorded", handle(a.recorded))
	engine.GET("/internal/jobs/:id/result", handle(a.result))
	engine.GET(jobapi.ChangesPath, a.changes)
	engine.POST(jobapi.ReusePath, answer(a.reuse))
}

const (
	// pollInterval is the Retry-After of an unfinished job.
	pollInterval = time.Second
	// outageInterval is the Retry-After while the job store does not answer.
	outageInterval = 2 * time.Second
	// unknownWait is about how long a poll waits for a job that is not known yet. It is short because anybody can make up ids, and
	// each poll that waits holds one of max-waiters.
	unknownWait = 5 * time.Second
	// clientGone is the status of a response that no client reads, for the log and the metrics; nginx uses the same.
	clientGone = 499
)

// handle passes the id to a handler, and turns its error into a problem as answer does.
func handle(handler func(c *gin.Context, id uuid.UUID) error) gin.HandlerFunc {
	return httpserver.Handle(func(c *gin.Context) error {
		id, err := job.ParseID(c.Param("id"))
		if err != nil {
			return notFound().Because(err)
		}
		httpserver.ConcernsJob(c, id.String())
		return judge(c, handler(c, id))
	})
}

// answer turns the error of a handler into a problem.
func answer(handler func(c *gin.Context) error) gin.HandlerFunc {
	return httpserver.Handle(func(c *gin.Context) error { return judge(c, handler(c)) })
}

// judge returns an error of a handler as a problem.
func judge(c *gin.Context, err error) error {
	var known *problem.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case c.Request.Context().Err() != nil:
		c.AbortWithStatus(clientGone)
		return nil //nolint:nilerr // there is no client to report it to
	default:
		unavailable := problem.New(problem.StatusUnavailable, "The job database does not respond.")
		return unavailable.Because(err).After(outageInterval)
	}
}

func notFound() *problem.Error { return problem.New(problem.JobNotFound, "No job has this id.") }

// gone returns the problem of a job that clients can no longer see.
func gone(reason job.Gone) *problem.Error {
	if reason == job.Expired {
		return problem.New(problem.JobExpired, "The job has expired, and its files are deleted.")
	}
	return problem.New(problem.JobDeleted, "The job and its files were deleted at the request of a client.")
}

// find returns a job. It returns nil for a job that is not known, but may be once all events have been applied.
func (a *api) find(ctx context.Context, id uuid.UUID) (*job.Job, error) {
	found, err := a.Jobs.Job(ctx, id)
	switch {
	case errors.Is(err, jobstore.ErrGone):
		return nil, gone(found.Gone)
	case err == nil:
		return a.unexpired(ctx, found)
	}
	if !errors.Is(err, jobstore.ErrNotFound) {
		return nil, err
	}
	until, failure := a.Jobs.Watermark(ctx)
	if failure != nil {
		return nil, failure
	}
	if a.mayArrive(id, err, until) {
		return nil, nil //nolint:nilnil // see above
	}
	// Read again: its submission may have been applied before the watermark was read.
	found, err = a.Jobs.Job(ctx, id)
	switch {
	case errors.Is(err, jobstore.ErrGone):
		return nil, gone(found.Gone)
	case !errors.Is(err, jobstore.ErrNotFound):
		return &found, err
	case a.mayArrive(id, err, until):
		return nil, nil //nolint:nilnil // see above
	default:
		return nil, notFound().Because(err)
	}
}

// mayArrive reports whether the submission of a job may still arrive, which the store has reported as missing.
func (a *api) mayArrive(id uuid.UUID, missing error, until time.Time) bool {
	if errors.Is(missing, jobstore.ErrPlaceholder) {
		return watermark.PlaceholderMayArrive(id, a.JobDeadline, until, time.Now())
	}
	return watermark.MayArrive(id, until, time.Now())
}

// unknown is the temporary answer for a job that find does not know yet.
func unknown() *problem.Error {
	return problem.New(problem.StatusUnavailable, "The states of new jobs are not up to date yet.").After(outageInterval)
}

// job handles GET /v1/jobs/{id}.
func (a *api) job(c *gin.Context, id uuid.UUID) error {
	known := readTags(c.Request.Header.Values("If-None-Match"))
	wait, preferred := httpserver.PreferWait(c.Request.Header)
	wait = min(wait, httpserver.MaxWait)

	var first, latest *job.Job
	began := time.Now()
	check := func(ctx context.Context) (done bool, err error) {
		if latest, err = a.find(ctx, id); err != nil || latest == nil {
			return time.Since(began) >= unknownWait, err
		}
		if first == nil {
			first = latest
		}
		return latest.Status.Terminal() || changed(*first, *latest, known), nil
	}
	waited, err := a.wait(c, id, wait, check)
	if err != nil {
		return err
	}
	if latest == nil {
		return unknown()
	}
	header := c.Writer.Header()
	if preferred && waited {
		header.Set("Preference-Applied", httpserver.PreferenceApplied(wait))
	}
	header.Set("ETag", tagOf(*latest))
	header.Set("Cache-Control", "no-cache")
	if !latest.Status.Terminal() {
		header.Set("Retry-After", seconds(pollInterval))
	}
	if known.match(tagOf(*latest)) {
		c.Status(http.StatusNotModified)
		return nil
	}
	c.JSON(http.StatusOK, a.represent(*latest))
	return nil
}

// changed reports whether the change that a long poll waits for has happened. If the client sent an entity tag, that
// is any change of the representation; otherwise, a change of the state since the request began. Progress alone ends
// only the wait of a client that sent a tag.
func changed(first, latest job.Job, known tags) bool {
	if known.given() {
		return !known.match(tagOf(latest)) || known.any
	}
	return latest.Status != first.Status || latest.Attempt != first.Attempt
}

// wait calls check until it is done, the time is up, or the server drains. If too many requests are waiting already, it
// calls check once and does not wait: the client gets the present state and the time of its next poll, which RFC 7240
// allows and which costs one read. A 503 instead would deny the client its response.
func (a *api) wait(
	c *gin.Context, id uuid.UUID, wait time.Duration, check func(context.Context) (done bool, err error),
) (waited bool, err error) {
	ctx := c.Request.Context()
	if wait > 0 {
		err = a.Waiters.Until(ctx, id, wait, httpserver.Draining(ctx), check)
		if !errors.Is(err, watch.ErrFull) {
			return true, err
		}
	}
	_, err = check(ctx)
	return wait == 0, err
}

// recorded handles GET /internal/jobs/{id}/recorded?wait=2s: it responds as soon as clients can see the job.
func (a *api) recorded(c *gin.Context, id uuid.UUID) error {
	wait, err := time.ParseDuration(c.DefaultQuery("wait", "0s"))
	if err != nil || wait < 0 {
		field := problem.Field{Name: "wait", Detail: "must be a duration such as 2s"}
		return problem.New(problem.OptionInvalid, "The parameter wait is invalid.").With(field)
	}
	var recorded *job.Job
	check := func(ctx context.Context) (bool, error) {
		latest, err := a.Jobs.Job(ctx, id)
		if errors.Is(err, jobstore.ErrNotFound) {
			return false, nil
		}
		if errors.Is(err, jobstore.ErrGone) {
			return true, gone(latest.Gone)
		}
		if err == nil {
			recorded, err = a.unexpired(ctx, latest) // a repeated submission asks for a job of any age
		}
		return true, err
	}
	if _, err := a.wait(c, id, min(wait, httpserver.MaxWait), check); err != nil {
		return err
	}
	if recorded == nil {
		return notFound()
	}
	c.Header("ETag", tagOf(*recorded)) // the gateway continues to wait from here
	c.JSON(http.StatusOK, a.represent(*recorded))
	return nil
}

// result handles GET /internal/jobs/{id}/result: where the result is stored.
func (a *api) result(c *gin.Context, id uuid.UUID) error {
	found, err := a.find(c.Request.Context(), id)
	switch {
	case err != nil:
		return err
	case found == nil:
		return unknown()
	case found.Status == job.Succeeded:
		c.JSON(http.StatusOK, representation.Location(*found))
		return nil
	case found.Failure != nil:
		return problem.New(problem.JobFailed, "The job failed with the error %s.", found.Failure.Code)
	case found.Status.Terminal():
		return problem.New(problem.JobFailed, "The job is %s.", found.Status)
	default:
		return problem.New(problem.JobNotFinished, "The job is %s.", found.Status).After(pollInterval)
	}
}
