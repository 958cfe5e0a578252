// Package httpapi is the public HTTP API: it takes requests apart, lets the other packages do the work, and puts their
// answers together. Its handlers return what went wrong; one place makes problems of that.
package httpapi

import (
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/services/gateway/internal/capabilities"
	"github.com/docmill/docmill/services/gateway/internal/download"
	"github.com/docmill/docmill/services/gateway/internal/statusclient"
	"github.com/docmill/docmill/services/gateway/internal/submit"
	"github.com/docmill/docmill/services/gateway/internal/upload"
)

// Settings bound what clients may do.
type Settings struct {
	// Upload are the bounds of one upload; its Formats come from the Capabilities.
	Upload upload.Limits
	// MaxUploads is how many uploads may go on at once.
	MaxUploads int
	// RecordWait is how long the answer to a submission waits for status to know the job.
	RecordWait time.Duration
}

// Parts are what the API stands on.
type Parts struct {
	Submitter    *submit.Submitter
	Status       *statusclient.Client
	Sender       *download.Sender
	Capabilities *capabilities.Capabilities
	Metrics      prometheus.Registerer
}

type api struct {
	settings Settings
	parts    Parts
	slots    chan struct{} // one entry for each upload that goes on
	metrics  uploadMetrics
}

// Register adds the API's routes. It panics when the metrics are registered already, which only happens when it is called
// twice.
func Register(routes gin.IRouter, settings Settings, parts Parts) {
	a := &api{
		settings: settings, parts: parts,
		slots: make(chan struct{}, settings.MaxUploads), metrics: newUploadMetrics(parts.Metrics),
	}
	routes.POST("/v1/jobs", httpserver.Handle(a.submit))
	getOrHead := []string{http.MethodGet, http.MethodHead}
	routes.Match(getOrHead, "/v1/jobs/:id", answer(a.poll))
	routes.Match(getOrHead, "/v1/jobs/:id/result", answer(a.result))
	routes.Match(getOrHead, "/v1/formats", answer(a.formats))
}

// clientGone is the status of an answer that nobody reads, for the log and the metrics; nginx uses the same.
const clientGone = 499

// answer makes a handler for requests without a body. It answers with the handler's failure, unless the client has left: what
// fails then fails because of that, and must not look as if status or the store were down. A request with a body is
// different: net/http ends its context also when the body's deadline passes, and that client is still there to be told.
func answer(handler func(c *gin.Context) error) gin.HandlerFunc {
	return httpserver.Handle(func(c *gin.Context) error {
		err := handler(c)
		if err != nil && c.Request.Context().Err() != nil && !c.Writer.Written() {
			_ = c.Error(err)
			c.AbortWithStatus(clientGone)
			return nil
		}
		return err
	})
}

// poll passes the question on to status.
func (a *api) poll(c *gin.Context) error {
	id, err := jobID(c)
	if err != nil {
		return err
	}
	wait := heldFor(c.Request.Header)
	return a.parts.Status.Poll(c.Writer, c.Request, id, wait, httpserver.Draining(c.Request.Context()))
}

// result sends the file.
func (a *api) result(c *gin.Context) error {
	id, err := jobID(c)
	if err != nil {
		return err
	}
	location, err := a.parts.Status.Result(c.Request.Context(), id)
	if err != nil {
		return err
	}
	return a.parts.Sender.Send(c.Writer, c.Request, location)
}

// jobID gives the id in the path. What is no id in its canonical form is the id of no job, and nobody is asked.
func jobID(c *gin.Context) (string, error) {
	id := c.Param("id")
	if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id {
		return "", problem.New(problem.JobNotFound, "The address does not hold the id of a job.")
	}
	return id, nil
}

// jobRetryAfter tells a client when to poll first, in seconds: small documents are done by then.
const jobRetryAfter = "1"

// submit takes a document and answers with its job.
func (a *api) submit(c *gin.Context) error {
	accepted, err := a.accept(c)
	if err != nil {
		return err
	}
	c.Header("Location", jobapi.Path(accepted.ID))
	c.Header("Cache-Control", "no-store")
	wait := heldFor(c.Request.Header)
	followed := a.follow(c.Request.Context(), accepted, wait)
	if wait > 0 {
		c.Header("Preference-Applied", httpserver.PreferenceApplied(wait))
	}
	if wait > 0 && followed.Status.Terminal() {
		c.JSON(http.StatusOK, followed)
		return nil
	}
	c.Header("Retry-After", jobRetryAfter)
	c.JSON(http.StatusAccepted, followed)
	return nil
}

// busyRetryAfter is what a client is told when too many others upload.
const busyRetryAfter = 2 * time.Second

// accept receives the upload, when it is not one too many, and submits it.
func (a *api) accept(c *gin.Context) (accepted jobapi.Job, err error) {
	done := a.metrics.begin()
	defer func() { done(accepted.Source.Size, err) }()
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	default:
		return jobapi.Job{}, problem.New(problem.Busy, "%d uploads go on already.", cap(a.slots)).After(busyRetryAfter)
	}
	document, err := upload.Receive(c.Writer, c.Request, a.limits())
	if err != nil {
		return jobapi.Job{}, err
	}
	return a.parts.Submitter.Submit(c.Request.Context(), document)
}

// limits are those of an upload that begins now.
func (a *api) limits() upload.Limits {
	limits := a.settings.Upload
	limits.Formats = a.parts.Capabilities.Formats()
	return limits
}

// outcome is the code that an error is answered with, for metrics.
func outcome(err error) string {
	if err == nil {
		return "accepted"
	}
	if known, ok := errors.AsType[*problem.Error](err); ok {
		return string(known.Code)
	}
	return string(problem.Internal)
}

// heldFor is how long an answer is held for a client: 0 when it does not ask for it.
func heldFor(header http.Header) time.Duration {
	wait, _ := httpserver.PreferWait(header)
	return min(wait, httpserver.MaxWait)
}
