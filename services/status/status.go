// Package status is the status service: it folds the events about jobs into a job store, answers polls, and tells gateways
// which jobs have changed.
//
// [New] assembles the service from its dependencies; cmd/docmill-status runs it with RabbitMQ and PostgreSQL.
package status

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/health"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/platform/observed"
	"github.com/docmill/docmill/platform/service"
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/internal/control"
	"github.com/docmill/docmill/services/status/internal/deadletter"
	"github.com/docmill/docmill/services/status/internal/deadline"
	"github.com/docmill/docmill/services/status/internal/ending"
	"github.com/docmill/docmill/services/status/internal/events"
	"github.com/docmill/docmill/services/status/internal/feed"
	"github.com/docmill/docmill/services/status/internal/httpapi"
	"github.com/docmill/docmill/services/status/internal/orphan"
	"github.com/docmill/docmill/services/status/internal/purge"
	"github.com/docmill/docmill/services/status/internal/reuse"
	"github.com/docmill/docmill/services/status/internal/waiting"
	"github.com/docmill/docmill/services/status/internal/watch"
	"github.com/docmill/docmill/services/status/internal/watermark"
	"github.com/docmill/docmill/services/status/internal/webhook"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// Name is the name of the service in logs, traces and connections.
const Name = "docmill-status"

// Config are the settings of the service that do not depend on its servers.
//
//nolint:lll // kong's tags cannot be wrapped
type Config struct {
	BatchSize   int           `default:"256" help:"Maximum number of events that are applied in one transaction."`
	MaxWaiters  int           `default:"10000" help:"Maximum number of requests that wait for a change at the same time. Further polls are answered at once."`
	JobDeadline time.Duration `default:"24h" help:"Time after its submission at which a job that has not ended is marked failed."`

	Retention       time.Duration `default:"24h" help:"How long after the end of a job its files are kept. Clients can shorten it per job with the option expires_in."`
	SourceRetention time.Duration `default:"24h" help:"How long after the end of a job its document is kept, if that is shorter than the retention. A job can be retried until then."`
	OrphanSweep     time.Duration `default:"1h" help:"Time between two sweeps that delete files that belong to no job. One replica sweeps at a time."`

	Webhook webhook.Config `embed:"" prefix:"webhook-"`
}

const maxBatch = 10_000 // twice that is the consumer's prefetch, whose limit in AMQP is 65,535

// Validate rejects settings that are out of range.
func (c Config) Validate() error {
	switch {
	case c.BatchSize < 1 || c.BatchSize > maxBatch:
		return fmt.Errorf("setting batch-size: %d is not between 1 and %d", c.BatchSize, maxBatch)
	case c.MaxWaiters < 1:
		return fmt.Errorf("setting max-waiters: %d is less than 1", c.MaxWaiters)
	case c.JobDeadline < message.MinDeadline():
		return fmt.Errorf("setting job-deadline: %s is less than %s, the sum of the delays between attempts", c.JobDeadline, message.MinDeadline())
	case c.Retention < minRetention:
		return fmt.Errorf("setting retention: %s is less than %s; for results that are kept for years, use for example 87600h", c.Retention, minRetention)
	case c.SourceRetention < 0:
		return fmt.Errorf("setting source-retention: %s is negative", c.SourceRetention)
	case c.OrphanSweep < time.Second:
		return fmt.Errorf("setting orphan-sweep: %s is less than 1s", c.OrphanSweep)
	default:
		return nil
	}
}

// minRetention leaves clients time to fetch results.
const minRetention = time.Minute

// tombstones is the minimum time for which deleted and expired jobs are remembered, so that their clients get a better response than
// "not found", and nothing that is still in a queue revives them.
const tombstones = 7 * 24 * time.Hour

func (c Config) retention() job.Retention {
	return job.Retention{Files: c.Retention, Source: c.SourceRetention, Tombstone: max(tombstones, 2*c.JobDeadline)}
}

// Deps are what the service depends on. All are required.
type Deps struct {
	// Messages is where events come from.
	Messages message.Broker
	// Jobs keeps the jobs. The service runs it.
	Jobs jobstore.Store
	// Sources and Results are where the files of the jobs are.
	Sources, Results blob.Bucket
	Log              *zap.Logger
	Metrics          prometheus.Registerer
}

// sweepInterval is the time between two sweeps of overdue jobs.
const sweepInterval = time.Minute

// New assembles the service. The caller serves the assembly's Handler.
func New(config Config, deps Deps) (service.Assembly, error) {
	waiters := watch.New(config.MaxWaiters, watch.Recheck, gauge(deps.Metrics, "waiters", "Requests that wait for a job to change."))
	deps.Jobs.Notify(waiters)
	changes := feed.New()
	deps.Jobs.Notify(changes)
	ends := ending.NewMetrics(deps.Metrics)
	buckets := observed.New(deps.Metrics)
	deps.Sources, deps.Results = buckets.Bucket("sources", deps.Sources), buckets.Bucket("results", deps.Results)
	clock := clock.New(deps.Jobs, deps.Log)
	retention := config.retention()
	applied := events.New(deps.Jobs, clock, retention, config.BatchSize, ends, deps.Log, deps.Metrics)
	options := message.ConsumerOptions{Ready: deps.Jobs.Check, RetryFor: watermark.MaxHold}
	eventsConsumer, err := deps.Messages.NewConsumer(message.Events, applied.Handler(), options)
	if err != nil {
		return service.Assembly{}, err
	}
	// Progress that cannot be applied at once is soon out of date.
	progressConsumer, err := deps.Messages.NewConsumer(message.Progress, applied.Handler(), options)
	if err != nil {
		return service.Assembly{}, err
	}
	dead := deadletter.New(deps.Jobs, clock, retention, ends, deps.Log, deps.Metrics)
	deadConsumer, err := deps.Messages.NewConsumer(message.DeadCommands, dead.Handler(), options)
	if err != nil {
		return service.Assembly{}, err
	}
	publisher, err := deps.Messages.NewPublisher(message.PublisherOptions{})
	if err != nil {
		return service.Assembly{}, err
	}
	marker := &watermark.Marker{Every: watermark.Interval, Clock: deps.Jobs, Publisher: publisher, Log: deps.Log}
	depths := deadletter.NewDepths(publisher, deadletter.Interval, deps.Metrics)
	age := waiting.New(deps.Jobs, waiting.Interval, deps.Metrics)
	callbacks, err := webhooks(config.Webhook, deps, clock)
	if err != nil {
		return service.Assembly{}, err
	}
	requests, late, housekeeping := newHousekeeping(config, deps, clock, applied, publisher, ends)
	engine := httpserver.NewEngine(Name, deps.Log, deps.Metrics)
	httpapi.Register(engine, httpapi.Deps{
		Jobs: deps.Jobs, Clock: clock, Control: requests, Reuse: newReuse(deps, clock, retention, late, ends), JobDeadline: config.JobDeadline, Retention: config.Retention, Waiters: waiters, Feed: changes,
	})

	return service.Assembly{
		Handler: engine,
		Components: slices.Concat([]host.Component{
			{Name: "job store", Run: deps.Jobs.Run},
			{Name: "events", Run: eventsConsumer.Run},
			{Name: "progress", Run: progressConsumer.Run},
			{Name: "dead letters", Run: deadConsumer.Run},
			{Name: "publisher", Run: publisher.Run},
			{Name: "marks", Run: marker.Run},
			{Name: "depths of the dead letters", Run: depths.Run},
			{Name: "age of the oldest waiting job", Run: age.Run},
		}, housekeeping, callbacks),
		// Polls do not need the queue.
		Checks: []health.Check{
			// Polls are answered from a database that cannot be written, such as a standby.
			{Name: "job-store", Probe: jobstore.Readable(deps.Jobs), Essential: true},
			{Name: "job-store-writes", Probe: deps.Jobs.Check},
			{Name: "messages", Probe: eventsConsumer.Check},
			{Name: "blobs", Probe: deps.Sources.Check},
		},
	}, nil
}

func newReuse(deps Deps, clock *clock.Clock, retention job.Retention, late *orphan.Late, ends *ending.Metrics) *reuse.Reuse {
	return reuse.New(reuse.Deps{
		Jobs: deps.Jobs, Clock: clock, Results: deps.Results, Retention: retention, Uncertain: late.Uncertain, Ends: ends, Log: deps.Log, Metrics: deps.Metrics,
	})
}

// newHousekeeping returns the control that carries out the requests of clients, the deletion of late results, and the components that end
// overdue jobs and delete what is no longer needed.
func newHousekeeping(
	config Config, deps Deps, clock *clock.Clock, applied *events.Consumer, publisher message.Publisher, ends *ending.Metrics,
) (*control.Control, *orphan.Late, []host.Component) {
	retention := config.retention()
	watchHolds(deps.Metrics, clock)
	sweep := &deadline.Sweep{
		Deadline: config.JobDeadline, Every: sweepInterval, Store: deps.Jobs, Clock: clock, Retention: retention, Ends: ends, Log: deps.Log,
	}
	requests := control.New(control.Deps{
		Jobs: deps.Jobs, Clock: clock, Sources: deps.Sources, Publisher: publisher, Retention: retention, JobDeadline: config.JobDeadline,
		Ends: ends, Log: deps.Log,
	})
	purger := purge.New(purge.Purge{
		Jobs: deps.Jobs, Clock: clock, Sources: deps.Sources, Results: deps.Results, Publish: requests.Publish, Retention: retention, Log: deps.Log,
	}, deps.Metrics)
	requests.Removed = purger.Wake
	orphans := orphan.New(orphan.Sweep{
		Jobs: deps.Jobs, Clock: clock, Sources: deps.Sources, Results: deps.Results, JobDeadline: config.JobDeadline, MinAge: orphan.UploadAge,
		Every: config.OrphanSweep, Log: deps.Log,
	}, deps.Metrics)
	late := orphans.Late()
	applied.Dropped = late.Dropped
	return requests, late, []host.Component{
		{Name: "deadline", Run: sweep.Run},
		{Name: "purge", Run: purger.Run},
		{Name: "orphans", Run: orphans.Run},
		{Name: "orphaned claims", Run: orphans.RunClaims},
		{Name: "late results", Run: late.Run},
	}
}

// watchHolds registers the metric of whether the clock keeps something from being deleted.
func watchHolds(registry prometheus.Registerer, clock *clock.Clock) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: metrics.Namespace, Subsystem: "status", Name: "deletion_held",
		Help: "Whether what has expired lately is not deleted, because a clock may be wrong: 1 or 0.",
	}, func() float64 {
		if clock.Held() {
			return 1
		}
		return 0
	}))
}

func gauge(registry prometheus.Registerer, name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: metrics.Namespace, Subsystem: "status", Name: name, Help: help})
	registry.MustRegister(g)
	return g
}
