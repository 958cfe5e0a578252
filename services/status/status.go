// Package status is the status service: it folds the events about jobs into a job store, answers polls, and tells gateways
// which jobs have changed.
//
// [New] assembles the service from its dependencies; cmd/docmill-status runs it with RabbitMQ and PostgreSQL.
package status

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/health"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/platform/service"
	"github.com/docmill/docmill/services/status/internal/deadletter"
	"github.com/docmill/docmill/services/status/internal/deadline"
	"github.com/docmill/docmill/services/status/internal/ending"
	"github.com/docmill/docmill/services/status/internal/events"
	"github.com/docmill/docmill/services/status/internal/feed"
	"github.com/docmill/docmill/services/status/internal/httpapi"
	"github.com/docmill/docmill/services/status/internal/waiting"
	"github.com/docmill/docmill/services/status/internal/watch"
	"github.com/docmill/docmill/services/status/internal/watermark"
	"github.com/docmill/docmill/services/status/internal/webhook"
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
	default:
		return nil
	}
}

// Deps are what the service depends on. All are required.
type Deps struct {
	// Messages is where events come from.
	Messages message.Broker
	// Jobs keeps the jobs. The service runs it.
	Jobs    jobstore.Store
	Log     *zap.Logger
	Metrics prometheus.Registerer
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
	applied := events.New(deps.Jobs, config.BatchSize, ends, deps.Log, deps.Metrics)
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
	dead := deadletter.New(deps.Jobs, ends, deps.Log, deps.Metrics)
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
	sweep := &deadline.Sweep{Deadline: config.JobDeadline, Every: sweepInterval, Store: deps.Jobs, Ends: ends, Log: deps.Log}
	callbacks, err := webhooks(config.Webhook, deps)
	if err != nil {
		return service.Assembly{}, err
	}
	engine := httpserver.NewEngine(Name, deps.Log, deps.Metrics)
	httpapi.Register(engine, deps.Jobs, config.JobDeadline, waiters, changes)

	return service.Assembly{
		Handler: engine,
		Components: append([]host.Component{
			{Name: "job store", Run: deps.Jobs.Run},
			{Name: "events", Run: eventsConsumer.Run},
			{Name: "progress", Run: progressConsumer.Run},
			{Name: "dead letters", Run: deadConsumer.Run},
			{Name: "publisher", Run: publisher.Run},
			{Name: "marks", Run: marker.Run},
			{Name: "depths of the dead letters", Run: depths.Run},
			{Name: "age of the oldest waiting job", Run: age.Run},
			{Name: "deadline", Run: sweep.Run},
		}, callbacks...),
		// Polls do not need the queue.
		Checks: []health.Check{
			// Polls are answered from a database that cannot be written, such as a standby.
			{Name: "job-store", Probe: jobstore.Readable(deps.Jobs), Essential: true},
			{Name: "job-store-writes", Probe: deps.Jobs.Check},
			{Name: "messages", Probe: eventsConsumer.Check},
		},
	}, nil
}

func gauge(registry prometheus.Registerer, name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: metrics.Namespace, Subsystem: "status", Name: name, Help: help})
	registry.MustRegister(g)
	return g
}
