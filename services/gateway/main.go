// Docmill-gateway is the public edge of Docmill: it takes documents in, accepts them as jobs, and hands results out.
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/health"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/rabbitmq"
	"github.com/docmill/docmill/platform/s3"
	"github.com/docmill/docmill/platform/seal"
	"github.com/docmill/docmill/platform/service"
	"github.com/docmill/docmill/services/gateway/internal/capabilities"
	"github.com/docmill/docmill/services/gateway/internal/download"
	"github.com/docmill/docmill/services/gateway/internal/httpapi"
	"github.com/docmill/docmill/services/gateway/internal/statusclient"
	"github.com/docmill/docmill/services/gateway/internal/submit"
	"github.com/docmill/docmill/services/gateway/internal/upload"
)

// settings are the gateway's.
type settings struct {
	service.Settings `embed:""`

	Address           string        `default:"127.0.0.1:8080" help:"Address of the public API."`
	MaxUploadSize     config.Size   `default:"512MiB" help:"Largest document that is accepted."`
	UploadIdleTimeout time.Duration `default:"30s" help:"How long a client that uploads may send nothing."`
	MaxUploads        int           `default:"64" help:"How many uploads may go on at once; each takes up to 6 MiB of memory."`
	PublishTimeout    time.Duration `default:"10s" help:"How long the queue may take to accept a job."`
	RecordWait        time.Duration `default:"2s" help:"How long the answer to a submission waits for the service status to know the job."`

	Broker rabbitmq.Config     `embed:"" prefix:"broker-"`
	Store  s3.Config           `embed:"" prefix:"store-"`
	Status statusclient.Config `embed:"" prefix:"status-"`
	Seal   seal.Config         `embed:""`
}

// Validate refuses limits that would let nothing through.
func (s *settings) Validate() error {
	var faults []error
	require := func(ok bool, name, what string) {
		if !ok {
			faults = append(faults, fmt.Errorf("setting %s: it must be %s", name, what))
		}
	}
	require(s.MaxUploadSize >= 1, "max-upload-size", "at least one byte")
	require(s.MaxUploads >= 1, "max-uploads", "at least 1")
	require(s.UploadIdleTimeout > 0, "upload-idle-timeout", "more than 0s")
	require(s.PublishTimeout > 0, "publish-timeout", "more than 0s")
	require(s.RecordWait >= 0, "record-wait", "0s or more")
	return errors.Join(faults...)
}

func main() {
	about := service.About{
		Name:         "docmill-gateway",
		Description:  "The public edge of Docmill: takes documents in, accepts them as jobs, hands results out.",
		AdminAddress: "127.0.0.1:8081",
	}
	s := &settings{}
	os.Exit(service.Main(about, s, config.Process(), os.Stderr, func(p service.Process) (service.Assembly, error) {
		return assemble(s, p)
	}))
}

// assemble makes the gateway's parts. The publisher outlives the server when they stop, so that the last uploads are accepted.
func assemble(s *settings, p service.Process) (service.Assembly, error) {
	store, err := s3.New(s.Store)
	if err != nil {
		return service.Assembly{}, err
	}
	sources := store.Bucket(s.Store.SourcesBucket)
	messages, err := rabbitmq.New(s.Broker, "docmill-gateway", p.Log, p.Metrics)
	if err != nil {
		return service.Assembly{}, err
	}
	publisher, err := messages.NewPublisher(message.PublisherOptions{
		Wait: s.PublishTimeout / 2, ConfirmTimeout: s.PublishTimeout,
	})
	if err != nil {
		return service.Assembly{}, err
	}
	status, err := statusclient.New(s.Status)
	if err != nil {
		return service.Assembly{}, err
	}
	box, err := seal.New(s.Seal)
	if err != nil {
		return service.Assembly{}, err
	}
	engine := httpserver.NewEngine("docmill-gateway", p.Log, p.Metrics)
	limits := upload.Limits{MaxSize: int64(s.MaxUploadSize), Idle: s.UploadIdleTimeout, Secrets: box != nil}
	announced := &capabilities.Capabilities{}
	listener, err := messages.NewConsumer(message.Announcements, announced.Handler(), message.ConsumerOptions{})
	if err != nil {
		return service.Assembly{}, err
	}
	httpapi.Register(engine, httpapi.Settings{Upload: limits, MaxUploads: s.MaxUploads, RecordWait: s.RecordWait}, httpapi.Parts{
		Submitter: &submit.Submitter{
			Sources: sources, Publisher: publisher, PublishTimeout: s.PublishTimeout, Seal: box, Log: p.Log,
		},
		Status:       status,
		Sender:       &download.Sender{Results: store.Bucket(s.Store.ResultsBucket)},
		Capabilities: announced,
		Metrics:      p.Metrics,
	})
	return service.Assembly{
		Components: []host.Component{
			store.Component(p.Log, s.Store.SourcesBucket, s.Store.ResultsBucket),
			{Name: "publisher", Run: publisher.Run},
			{Name: "announcements", Run: listener.Run},
			httpserver.Component("api", s.Address, engine, p.Log),
		},
		// Status is not among them: without it documents are still accepted and results converted.
		Checks: []health.Check{
			{Name: "broker", Probe: publisher.Check},
			{Name: "store", Probe: sources.Check},
		},
	}, nil
}
