// Docmill-status keeps the state of every job: it folds the events of jobs' lives into PostgreSQL and answers polls.
package main

import (
	"context"
	"os"
	"time"

	"github.com/docmill/docmill/platform/broker"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/health"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/service"
	"github.com/docmill/docmill/platform/topology"
	"github.com/docmill/docmill/services/status/internal/deadletter"
	"github.com/docmill/docmill/services/status/internal/deadline"
	"github.com/docmill/docmill/services/status/internal/events"
	"github.com/docmill/docmill/services/status/internal/httpapi"
	"github.com/docmill/docmill/services/status/internal/postgres"
	"github.com/docmill/docmill/services/status/internal/watch"
)

const (
	name = "docmill-status"
	// sweepEvery is the time between two sweeps of overdue jobs.
	sweepEvery = time.Minute
)

func main() {
	about := service.About{
		Name: name, AdminAddress: "127.0.0.1:8083",
		Description: "Keeps the state of every job: folds the events of jobs' lives into PostgreSQL and answers polls.",
	}
	var s settings
	os.Exit(service.Main(about, &s, config.Process(), os.Stderr, s.assemble))
}

// assemble wires the service.
func (s *settings) assemble(process service.Process) (service.Assembly, error) {
	log, registry := process.Log, process.Metrics
	store, err := postgres.Open(s.Database, log)
	if err != nil {
		return service.Assembly{}, err
	}
	waiters := watch.New(s.MaxWaiters, watch.Reread, registry)
	applied := events.New(store, s.BatchSize, log, registry)
	options := broker.ConsumerOptions{Name: name, Usable: store.Check, Log: log, Metrics: registry}
	eventsConsumer, err := broker.NewConsumer(s.Broker, topology.StatusEvents, applied.Work(), options)
	if err != nil {
		return service.Assembly{}, err
	}
	deadConsumer, err := broker.NewConsumer(s.Broker, topology.ConvertDead, deadletter.New(store, log).Work(), options)
	if err != nil {
		return service.Assembly{}, err
	}
	sweep := &deadline.Sweep{
		Deadline: s.JobDeadline, Every: sweepEvery, Store: store, Log: log,
		Current: func(ctx context.Context) bool { return applied.CaughtUp() && eventsConsumer.Check(ctx) == nil },
	}
	engine := httpserver.NewEngine(name, log, registry)
	httpapi.Register(engine, store, waiters)

	return service.Assembly{
		Components: []host.Component{
			{Name: "database", Run: store.Run},
			{Name: "listener", Run: postgres.NewListener(store, waiters, log).Run},
			{Name: "events", Run: eventsConsumer.Run},
			{Name: "dead letters", Run: deadConsumer.Run},
			{Name: "deadline", Run: sweep.Run},
			httpserver.Component("http", s.Address, engine, log),
		},
		Checks: []health.Check{
			{Name: "postgresql", Probe: store.Check},
			{Name: "rabbitmq", Probe: eventsConsumer.Check},
		},
	}, nil
}
