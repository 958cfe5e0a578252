// Package gateway is Docmill's public HTTP API: it accepts uploaded documents as jobs, and serves job states and
// results.
//
// [New] assembles the service from its dependencies; cmd/docmill-gateway runs it with RabbitMQ and S3.
package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/detect"
	"github.com/docmill/docmill/contract/fleet"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/openapi"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/health"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/observed"
	"github.com/docmill/docmill/platform/seal"
	"github.com/docmill/docmill/platform/service"
	"github.com/docmill/docmill/services/gateway/internal/backlog"
	"github.com/docmill/docmill/services/gateway/internal/download"
	"github.com/docmill/docmill/services/gateway/internal/httpapi"
	"github.com/docmill/docmill/services/gateway/internal/idempotency"
	"github.com/docmill/docmill/services/gateway/internal/live"
	"github.com/docmill/docmill/services/gateway/internal/page"
	"github.com/docmill/docmill/services/gateway/internal/reference"
	"github.com/docmill/docmill/services/gateway/internal/resultcache"
	"github.com/docmill/docmill/services/gateway/internal/statusclient"
	"github.com/docmill/docmill/services/gateway/internal/submit"
	"github.com/docmill/docmill/services/gateway/internal/upload"
	"github.com/docmill/docmill/services/gateway/internal/withdrawal"
)

// Name is the name of the service in logs, traces and messages.
const Name = "docmill-gateway"

// Config are the settings of the service that do not depend on its servers.
//
//nolint:lll // kong's tags cannot be wrapped
type Config struct {
	MaxUploadSize     config.Size   `default:"512MiB" help:"Maximum size of a document."`
	UploadIdleTimeout time.Duration `default:"30s" help:"Time without any data after which an upload is ended."`
	MinUploadRate     config.Size   `default:"8KiB" help:"Minimum average rate of an upload per second, measured over the upload-idle-timeout; slower uploads are ended. 0: no minimum."`
	MaxUploads        int           `default:"64" help:"Maximum number of uploads that are stored at once; each takes up to 6 MiB of memory."`
	MaxOpenUploads    int           `default:"1024" help:"Maximum number of open uploads, including those whose document has not begun to arrive; each of these takes up to 64 KiB of memory."`
	PublishTimeout    time.Duration `default:"10s" help:"Maximum time to wait for the queue to confirm a job."`
	MaxQueueTime      time.Duration `default:"0s" help:"Maximum expected time that a new job waits in the queue, at the current rate of the converters. Submissions are rejected while it is longer. 0: half of the job-deadline."`
	RecordWait        time.Duration `default:"2s" help:"How long a submission response waits for the status service to record the job."`
	TrustTraceparent  bool          `help:"Trace the requests that clients mark as sampled in the header traceparent, as parts of the clients' traces. Only for clients that are trusted: each traced request costs storage. Otherwise only the trace ID is kept."`
	MaxStreams        int           `default:"10000" help:"Maximum number of open streams of events; each takes up to 24 KiB of memory. Further streams are answered with 503."`
	Cache             string        `default:"off" enum:"off,on" help:"Whether to reuse the result of an earlier job with the same document and options, if the converters have not changed since. From the response, clients can then learn whether someone else has submitted the same document."`
	AllowListing      bool          `help:"Let every client list all jobs and read statistics. The ids of jobs are secrets: anyone who knows one can download the result and delete the job."`
}

// Validate checks the limits.
func (c Config) Validate() error {
	var faults []error
	require := func(ok bool, name, what string) {
		if !ok {
			faults = append(faults, fmt.Errorf("setting %s: it must be %s", name, what))
		}
	}
	require(c.MaxUploadSize >= 1, "max-upload-size", "at least one byte")
	require(c.MinUploadRate >= 0, "min-upload-rate", "0 or more")
	require(c.MaxUploads >= 1, "max-uploads", "at least 1")
	require(c.MaxOpenUploads >= c.MaxUploads, "max-open-uploads", "at least max-uploads")
	require(c.UploadIdleTimeout > 0, "upload-idle-timeout", "more than 0s")
	require(c.PublishTimeout > 0, "publish-timeout", "more than 0s")
	require(c.MaxQueueTime >= 0, "max-queue-time", "0s or more")
	require(c.RecordWait >= 0, "record-wait", "0s or more")
	require(c.MaxStreams >= 1, "max-streams", "at least 1")
	return errors.Join(faults...)
}

// slotWait is how long an upload waits for one of max-uploads. With 207 connections that trickled bytes on 8 slots the
// first good upload waited 3 s on a busy machine, and 7 s with the race detector.
const slotWait = 10 * time.Second

// downloadStall is how long the store may send nothing of a result. Otherwise a stalled download would delay a drain.
const downloadStall = 30 * time.Second

// claimGrace is how long after the time for its publication a rejected submission may delete its claim, and how much the clocks
// of the gateways may differ.
const claimGrace = 15 * time.Second

// Status is where the status service is.
type Status = statusclient.Config

// Deps are what the service depends on. All but Seal and StatusTransport are required.
type Deps struct {
	// Messages carries the jobs, and the announcements of converters.
	Messages message.Broker
	// Sources receives the uploaded documents, Results holds the results.
	Sources, Results blob.Bucket
	// Status is the address of the status service, which StatusTransport reaches. Nil means over the network.
	Status          Status
	StatusTransport http.RoundTripper
	// JobDeadline is how long after its submission a job is converted. It is that of the status service.
	JobDeadline time.Duration
	// SingleConverter means that there is only one converter, and never will be another.
	SingleConverter bool
	// Webhooks is set if the status service sends webhooks. Otherwise the options for them are not accepted.
	Webhooks bool
	// Seal encrypts passwords. If it is nil, there is no key, and secret options are not accepted.
	Seal    *seal.Box
	Log     *zap.Logger
	Metrics prometheus.Registerer
}

// New assembles the service. The caller serves the assembly's Handler, and stops that before the components: the
// publisher must outlive the server, so that the last uploads are accepted.
func New(config Config, deps Deps) (service.Assembly, error) {
	if least := message.MinDeadline(); deps.JobDeadline < least {
		return service.Assembly{}, fmt.Errorf("setting job-deadline: %s is less than %s, the sum of the delays between attempts", deps.JobDeadline, least)
	}
	publisher, err := deps.Messages.NewPublisher(message.PublisherOptions{
		Wait: config.PublishTimeout / 2, ConfirmTimeout: config.PublishTimeout,
	})
	if err != nil {
		return service.Assembly{}, err
	}
	status, err := statusclient.New(deps.Status, deps.StatusTransport)
	if err != nil {
		return service.Assembly{}, err
	}
	converters := &fleet.Fleet{Single: deps.SingleConverter}
	listener, err := deps.Messages.NewConsumer(message.Announcements, converters.Handler(), message.ConsumerOptions{})
	if err != nil {
		return service.Assembly{}, err
	}
	described, err := renderReference()
	if err != nil {
		return service.Assembly{}, err
	}
	webPage, err := page.Render()
	if err != nil {
		return service.Assembly{}, err
	}
	observer := observed.New(deps.Metrics)
	deps.Sources, deps.Results = observer.Bucket("sources", deps.Sources), observer.Bucket("results", deps.Results)
	waiting := backlog.New(publisher, config.queueLimits(deps.JobDeadline), converters.Rate, deps.Log, deps.Metrics)
	withdrawals := withdrawal.New(publisher, deps.Log, deps.Metrics)
	names := idempotency.NewNames(deps.Sources)
	streams := live.New(status, config.MaxStreams, deps.Log, deps.Metrics)
	engine := httpserver.NewEngine(Name, deps.Log, deps.Metrics, config.engine()...)
	httpapi.Register(engine, config.api(deps), httpapi.Deps{
		Submitter: &submit.Submitter{
			Sources: deps.Sources, Publisher: publisher, PublishTimeout: config.PublishTimeout, JobDeadline: deps.JobDeadline,
			Withdrawals: withdrawals, Backlog: waiting,
			Names: names, Lookups: submit.NewLookups(), Jobs: status, Grace: claimGrace, Cache: config.cache(status, converters, deps),
			Detector: detect.NewDetector(), Seal: deps.Seal, Log: deps.Log,
		},
		Status: status, Streams: streams, Sender: &download.Sender{Results: deps.Results, Stall: downloadStall}, Converters: converters, Backlog: waiting, Reference: described, Page: webPage, Metrics: deps.Metrics,
	})
	return service.Assembly{
		Handler: engine,
		Components: []host.Component{
			{Name: "publisher", Run: publisher.Run},
			{Name: "withdrawals", Run: withdrawals.Run},
			{Name: "backlog", Run: waiting.Run},
			{Name: "announcements", Run: listener.Run},
			{Name: "streams", Run: streams.Run},
			{Name: "idempotency keys", Run: names.Run(deps.Log)},
		},
		// None is essential: without the queue or the store, polls still work, and other requests get a problem that says when
		// to try again.
		Checks: []health.Check{
			{Name: "messages", Probe: publisher.Check},
			{Name: "blobs", Probe: deps.Sources.Check},
		},
	}, nil
}

// cacheOn is the value of the setting cache that turns it on.
const cacheOn = "on"

// cache returns the cache of results, or nil if it is off. Its metrics exist in both cases.
func (c Config) cache(status *statusclient.Client, converters *fleet.Fleet, deps Deps) *resultcache.Cache {
	results := resultcache.New(status, converters, deps.Log, deps.Metrics)
	if c.Cache != cacheOn {
		return nil
	}
	return results
}

func (c Config) engine() []httpserver.Option {
	if c.TrustTraceparent {
		return nil
	}
	return []httpserver.Option{httpserver.UntrustedClients()}
}

// queueLimits returns the limits at which the gateway accepts no more jobs. The queue itself has a hard limit, which is
// hardly ever reached: a rejection by the queue has to be withdrawn, after the document was stored.
func (c Config) queueLimits(deadline time.Duration) backlog.Limits {
	limits := backlog.Limits{Commands: message.MaxCommands / 100 * 95, Wait: c.MaxQueueTime}
	if limits.Wait == 0 {
		limits.Wait = deadline / 2
	}
	return limits
}

// renderReference renders the API's description for people.
func renderReference() (reference.Page, error) {
	document, err := openapi.Read()
	if err != nil {
		return reference.Page{}, err
	}
	return reference.Render(document)
}

func (c Config) api(deps Deps) httpapi.Settings {
	return httpapi.Settings{
		Upload: upload.Limits{
			MaxSize: int64(c.MaxUploadSize), Idle: c.UploadIdleTimeout, MinRate: int64(c.MinUploadRate), Secrets: deps.Seal != nil, Webhooks: deps.Webhooks,
		},
		MaxUploads: c.MaxUploads, MaxOpenUploads: c.MaxOpenUploads, SlotWait: slotWait, RecordWait: c.RecordWait,
		AllowListing: c.AllowListing,
	}
}
