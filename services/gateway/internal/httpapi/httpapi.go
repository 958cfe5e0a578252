// Package httpapi is the public HTTP API: it parses requests, calls the packages that do the work and writes the responses.
// Its handlers return errors, which are turned into problems in one place.
package httpapi

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/docmill/docmill/contract/fleet"
	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/openapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/services/gateway/internal/admission"
	"github.com/docmill/docmill/services/gateway/internal/backlog"
	"github.com/docmill/docmill/services/gateway/internal/download"
	"github.com/docmill/docmill/services/gateway/internal/idempotency"
	"github.com/docmill/docmill/services/gateway/internal/live"
	"github.com/docmill/docmill/services/gateway/internal/page"
	"github.com/docmill/docmill/services/gateway/internal/reference"
	"github.com/docmill/docmill/services/gateway/internal/statusclient"
	"github.com/docmill/docmill/services/gateway/internal/submit"
	"github.com/docmill/docmill/services/gateway/internal/upload"
)

// Settings limit what clients may do.
type Settings struct {
	// Upload are the limits of one upload; the API sets its Formats, Precheck, Admit and Gate.
	Upload upload.Limits
	// MaxUploads is the maximum number of uploads that are stored at once.
	MaxUploads int
	// MaxOpenUploads is the maximum number of open uploads, including those whose document has not begun to arrive.
	MaxOpenUploads int
	// SlotWait is how long an upload waits for one of MaxUploads. It should be enough to replace lagging uploads.
	SlotWait time.Duration
	// RecordWait is how long the response to a submission waits for the status service to record the job.
	RecordWait time.Duration
	// AllowListing lets clients list jobs whose ids they do not know.
	AllowListing bool
}

// Deps are the dependencies of the API.
type Deps struct {
	Submitter  *submit.Submitter
	Status     *statusclient.Client
	Streams    *live.Streams
	Sender     *download.Sender
	Converters *fleet.Fleet
	Backlog    *backlog.Backlog
	// Reference is the API's description for people.
	Reference reference.Page
	// Page is the web page.
	Page    page.Page
	Metrics prometheus.Registerer
}

type api struct {
	settings Settings
	deps     Deps
	gate     *admission.Gate
	metrics  uploadMetrics
	archives archives
	// formatsAnswer is the latest answer to GET /v1/formats: compressing it takes 0.5 ms.
	formatsAnswer atomic.Pointer[static]
}

// Register adds the API's routes. It panics if the metrics are registered already, because it was called twice.
func Register(routes gin.IRouter, settings Settings, deps Deps) {
	a := &api{
		settings: settings, deps: deps,
		gate:     admission.NewGate(admission.Config{Slots: settings.MaxUploads, Open: settings.MaxOpenUploads, Wait: settings.SlotWait}),
		metrics:  newUploadMetrics(deps.Metrics),
		archives: newArchives(),
	}
	watchSlots(deps.Metrics, a.gate, settings)
	routes.POST("/v1/jobs", httpserver.Handle(a.submit))
	routes.GET(jobapi.JobsPath, answer(a.listed))
	routes.GET(jobapi.StatsPath, answer(a.listed))
	getOrHead := []string{http.MethodGet, http.MethodHead}
	routes.Match(getOrHead, "/v1/jobs/:id", answer(a.poll))
	routes.DELETE("/v1/jobs/:id", answer(a.change("")))
	routes.POST("/v1/jobs/:id/cancel", answer(a.change("/cancel")))
	routes.POST("/v1/jobs/:id/retry", answer(a.retry))
	routes.GET("/v1/jobs/:id/deliveries", answer(a.change("/deliveries")))
	routes.GET("/v1/jobs/:id/events", answer(a.events))
	routes.Match(getOrHead, "/v1/jobs/:id/result", answer(a.result))
	routes.GET("/v1/results.zip", answer(a.results))
	routes.Match(getOrHead, "/v1/formats", answer(a.formats))
	routes.Match(getOrHead, "/v1/openapi.json", newStatic("application/json", openapi.JSON(), "").send)
	routes.Match(getOrHead, "/docs", newStatic("text/html; charset=utf-8", deps.Reference.HTML, deps.Reference.Policy).send)
	for _, file := range deps.Page.Files {
		for _, path := range file.Paths {
			routes.Match(getOrHead, path, newStatic(file.ContentType, file.Content, deps.Page.Policy).send)
		}
	}
}

// clientGone is the status, in the log and the metrics, of a request whose client has disconnected; nginx uses the
// same.
const clientGone = 499

// answer returns a handler for requests without a body. It answers with the handler's error unless the client has
// disconnected: that is then the reason for the error, which must not look as if a dependency were down.
// Requests with a body are different: net/http also cancels their context when the body's deadline passes, and then the
// client is still connected.
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

// poll forwards the request to the status service.
func (a *api) poll(c *gin.Context) error {
	id, err := jobID(c)
	if err != nil {
		return err
	}
	wait := heldFor(c.Request.Header)
	return a.deps.Status.Poll(c.Writer, c.Request, id.String(), wait, httpserver.Draining(c.Request.Context()))
}

// change returns a handler that forwards a request about a job, with any method, to the status service. suffix is the part of the path
// after the id of the job.
func (a *api) change(suffix string) func(c *gin.Context) error {
	return func(c *gin.Context) error {
		id, err := jobID(c)
		if err != nil {
			return err
		}
		return a.deps.Status.Forward(c.Writer, c.Request, jobapi.Path(id.String())+suffix)
	}
}

// retry forwards a request to retry a job, unless the queue accepts no jobs: retries and submissions wait for the same converters. Then
// the state of the job decides: a request that puts nothing into the queue is forwarded.
func (a *api) retry(c *gin.Context) error {
	full := a.deps.Backlog.Check(c.Request.Context())
	if full == nil {
		return a.change("/retry")(c)
	}
	id, err := jobID(c)
	if err != nil {
		return err
	}
	known, err := a.deps.Status.Version(c.Request.Context(), id, 0)
	if err == nil && (known.Status == jobapi.Failed || known.Status == jobapi.Canceled) {
		return full
	}
	return a.change("/retry")(c)
}

// listed forwards a request about all jobs to the status service, if listing is allowed.
func (a *api) listed(c *gin.Context) error {
	if !a.settings.AllowListing {
		return problem.New(problem.ListingDisabled, "This server does not list jobs, because anyone who knows the id of a job can download its result.")
	}
	return a.deps.Status.Forward(c.Writer, c.Request, c.Request.URL.Path)
}

// events streams the changes of a job.
func (a *api) events(c *gin.Context) error {
	id, err := jobID(c)
	if err != nil {
		return err
	}
	return a.deps.Streams.Serve(c.Writer, c.Request, id)
}

// result sends the result of a job.
func (a *api) result(c *gin.Context) error {
	id, err := jobID(c)
	if err != nil {
		return err
	}
	location, err := a.deps.Status.Result(c.Request.Context(), id.String())
	if err != nil {
		return err
	}
	return a.deps.Sender.Send(c.Writer, c.Request, location)
}

// jobID returns the id in the path.
func jobID(c *gin.Context) (uuid.UUID, error) {
	id, valid := parseJobID(c.Param("id"))
	if !valid {
		return uuid.UUID{}, problem.New(problem.JobNotFound, "The path does not contain the id of a job.")
	}
	httpserver.ConcernsJob(c, id.String())
	return id, nil
}

// parseJobID parses an id. One that is not in canonical form belongs to no job, so the status service is not queried.
func parseJobID(text string) (uuid.UUID, bool) {
	id, err := uuid.Parse(text)
	return id, err == nil && id.String() == text
}

// jobRetryAfter is when a client should poll first, in seconds: small documents are converted by then.
const jobRetryAfter = "1"

// submit accepts a document and answers with its job.
func (a *api) submit(c *gin.Context) error {
	wait := heldFor(c.Request.Header)
	followed, err := a.acceptAndFollow(c, wait)
	if err != nil {
		if id := jobOf(jobapi.Job{}, err); id != "" {
			c.Header("Location", jobapi.Path(id)) // the client looks there before it submits again
		}
		return err
	}
	c.Header("Location", jobapi.Path(followed.ID))
	c.Header("Cache-Control", "no-store")
	if wait > 0 {
		c.Header("Preference-Applied", httpserver.PreferenceApplied(wait))
	}
	if wait > 0 && followed.Status.Terminal() {
		c.JSON(http.StatusOK, followed)
		return nil
	}
	if !followed.Status.Terminal() { // a replayed job, or one with the result of an earlier job, may have ended
		c.Header("Retry-After", jobRetryAfter)
	}
	c.JSON(http.StatusAccepted, followed)
	return nil
}

// acceptAndFollow receives a document and returns its job, in the state in which it is after the wait.
func (a *api) acceptAndFollow(c *gin.Context, wait time.Duration) (jobapi.Job, error) {
	accepted, err := a.accept(c)
	if err != nil {
		return jobapi.Job{}, err
	}
	if !accepted.Repeated {
		return a.follow(c.Request.Context(), accepted.Job, wait), nil
	}
	followed, err := a.followRepeated(c.Request.Context(), accepted.Job, wait)
	if err == nil || problem.Describe(problem.From(err).Code).Status == http.StatusGone {
		c.Header(idempotency.Replayed, "true")
	}
	return followed, err
}

// accept receives the upload and submits it.
func (a *api) accept(c *gin.Context) (accepted submit.Accepted, err error) {
	done := a.metrics.begin()
	defer func() { done(accepted, err) }()
	attempt := a.deps.Submitter.Begin(c.Request.Header)
	limits := a.limits()
	limits.Precheck, limits.Admit = attempt.Precheck, attempt.Admit
	document, err := upload.Receive(c.Writer, c.Request, limits)
	if err != nil {
		return submit.Accepted{}, err
	}
	defer document.Close()
	accepted, err = attempt.Submit(c.Request.Context(), document)
	if id := jobOf(accepted.Job, err); id != "" {
		httpserver.ConcernsJob(c, id)
	}
	return accepted, err
}

// jobOf returns the id of the job that exists after a submission, or may exist.
func jobOf(accepted jobapi.Job, err error) string {
	if unconfirmed, ok := errors.AsType[*problem.Error](err); ok {
		return unconfirmed.Job
	}
	return accepted.ID
}

// limits returns the limits of an upload that begins now.
func (a *api) limits() upload.Limits {
	limits := a.settings.Upload
	limits.Offer = a.deps.Converters.Offer()
	limits.Gate = a.gate
	return limits
}

// heldFor returns how long the response may be held for the client: 0 if the client does not request that.
func heldFor(header http.Header) time.Duration {
	wait, _ := httpserver.PreferWait(header)
	return min(wait, httpserver.MaxWait)
}
