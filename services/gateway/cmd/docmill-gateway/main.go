// Docmill-gateway runs the gateway on RabbitMQ and an S3 store.
package main

import (
	"os"
	"time"

	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/rabbitmq"
	"github.com/docmill/docmill/platform/s3"
	"github.com/docmill/docmill/platform/seal"
	"github.com/docmill/docmill/platform/service"
	"github.com/docmill/docmill/services/gateway"
)

// settings are all settings of the program.
type settings struct {
	service.Settings
	gateway.Config

	Address     string          `default:"127.0.0.1:8080" help:"Address of the public API."`
	JobDeadline time.Duration   `default:"24h" help:"A job is not converted later than this after its submission. Set it to the job-deadline of the status service."`
	Webhooks    bool            `help:"Accept the option callback_url. Set it when all replicas of the status service have a webhook-secret."`
	Broker      rabbitmq.Config `embed:"" prefix:"broker-"`
	Store       s3.Config       `embed:"" prefix:"store-"`
	Status      gateway.Status  `embed:"" prefix:"status-"`
	Seal        seal.Config     `embed:""`
}

func main() {
	about := service.About{
		Name: gateway.Name, AdminAddress: "127.0.0.1:8081", DrainDelay: service.DrainDelay,
		Description: "The public HTTP API of Docmill: accepts documents as jobs and serves job states and results.",
	}
	var s settings
	os.Exit(service.Main(about, &s, config.Process(), os.Stderr, s.assemble))
}

func (s *settings) assemble(process service.Process) (service.Assembly, error) {
	store, err := s3.New(s.Store)
	if err != nil {
		return service.Assembly{}, err
	}
	messages, err := rabbitmq.New(s.Broker, gateway.Name, process.Log, process.Metrics)
	if err != nil {
		return service.Assembly{}, err
	}
	box, err := seal.New(s.Seal)
	if err != nil {
		return service.Assembly{}, err
	}
	assembly, err := gateway.New(s.Config, gateway.Deps{
		Messages: messages, Sources: store.Bucket(s.Store.SourcesBucket), Results: store.Bucket(s.Store.ResultsBucket),
		Status: s.Status, JobDeadline: s.JobDeadline, Webhooks: s.Webhooks, Seal: box, Log: process.Log, Metrics: process.Metrics,
	})
	if err != nil {
		return service.Assembly{}, err
	}
	buckets := store.Component(process.Log, s.Store.SourcesBucket, s.Store.ResultsBucket)
	server := httpserver.Component("http", s.Address, assembly.Handler, process.Log)
	assembly.Components = append([]host.Component{buckets}, append(assembly.Components, server)...)
	return assembly, nil
}
