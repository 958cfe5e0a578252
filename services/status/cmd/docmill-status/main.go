// Docmill-status runs the status service on RabbitMQ and PostgreSQL.
package main

import (
	"context"
	"os"

	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/rabbitmq"
	"github.com/docmill/docmill/platform/s3"
	"github.com/docmill/docmill/platform/service"
	"github.com/docmill/docmill/services/status"
	"github.com/docmill/docmill/services/status/postgres"
)

// settings are all settings of the program.
type settings struct {
	service.Settings
	status.Config

	Address  string          `default:"127.0.0.1:8090" help:"Address of the API for the gateway. It has no authentication, so keep it private."` //nolint:lll // a kong tag
	Broker   rabbitmq.Config `embed:"" prefix:"broker-"`
	Database postgres.Config `embed:"" prefix:"database-"`
	Store    s3.Config       `embed:"" prefix:"store-"`
}

func main() { os.Exit(run(config.Process())) }

// run runs the service or one of its commands, and returns the exit code.
func run(source config.Source) int {
	about := service.About{
		Name: status.Name, AdminAddress: "127.0.0.1:8083", DrainDelay: service.DrainDelay,
		Description: "Keeps the state of every job: folds the events about jobs into PostgreSQL and answers polls.\n\n" +
			"The command `docmill-status redrive` moves dead-lettered events back to the queue, and " +
			"`docmill-status webhooks resend JOB` sends the webhooks of a job again.",
	}
	if len(source.Args) > 0 && source.Args[0] == "webhooks" {
		about.Command, about.Description, source.Args = webhooksName, webhooksDescription, source.Args[1:]
		var c webhooksCommand
		return service.Task(about, &c, source, os.Stderr, func(ctx context.Context) error { return c.run(ctx, source.Stdout) })
	}
	if len(source.Args) > 0 && source.Args[0] == "redrive" {
		about.Command, about.Description, source.Args = redriveName, redriveDescription, source.Args[1:]
		var c redriveCommand
		return service.Task(about, &c, source, os.Stderr, func(ctx context.Context) error { return c.run(ctx, source.Stdout) })
	}
	var s settings
	return service.Main(about, &s, source, os.Stderr, s.assemble)
}

func (s *settings) assemble(process service.Process) (service.Assembly, error) {
	jobs, err := postgres.Open(s.Database, process.Log)
	if err != nil {
		return service.Assembly{}, err
	}
	if err := process.Metrics.Register(jobs.Collector()); err != nil {
		return service.Assembly{}, err
	}
	store, err := s3.New(s.Store)
	if err != nil {
		return service.Assembly{}, err
	}
	messages, err := rabbitmq.New(s.Broker, status.Name, process.Log, process.Metrics)
	if err != nil {
		return service.Assembly{}, err
	}
	assembly, err := status.New(s.Config, status.Deps{
		Messages: messages, Jobs: jobs, Sources: store.Bucket(s.Store.SourcesBucket), Results: store.Bucket(s.Store.ResultsBucket),
		Log: process.Log, Metrics: process.Metrics,
	})
	if err != nil {
		return service.Assembly{}, err
	}
	server := httpserver.Component("http", s.Address, assembly.Handler, process.Log)
	assembly.Components = append(assembly.Components, server)
	return assembly, nil
}
