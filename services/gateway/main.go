// Docmill-gateway is Docmill's public HTTP API: it accepts uploaded documents as jobs and serves job states and results.
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/docmill/docmill/contract/detect"
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

// settings are the settings of the gateway.
type settings struct {
	service.Settings `embed:""`

	Address           string        `default:"127.0.0.1:8080" help:"Address of the public API."`
	MaxUploadSize     config.Size   `default:"512MiB" help:"Maximum size of a document."`
	UploadIdleTimeout time.Duration `default:"30s" help:"Time after which an upload that receives nothing is ended."`
	MinUploadRate     config.Size   `default:"8KiB" help:"Minimum average rate of an upload per second, measured over the upload-idle-timeout; slower uploads are ended. 0 is no minimum."`
	MaxUploads        int           `default:"64" help:"Maximum number of uploads that are stored at once; each takes up to 6 MiB of memory."`
	MaxOpenUploads    int           `default:"1024" help:"Maximum number of open uploads, including those whose document has not begun to arrive; each of these takes up to 64 KiB of memory."`
	PublishTimeout    time.Duration `default:"10s" help:"Maximum time to wait for the queue to confirm a job."`
	RecordWait        time.Duration `default:"2s" help:"How long a submission response waits for the service status to record the job."`

	Broker rabbitmq.Config     `embed:"" prefix:"broker-"`
	Store  s3.Config           `embed:"" prefix:"store-"`
	Status statusclient.Config `embed:"" prefix:"status-"`
	Seal   seal.Config         `embed:""`
}

// Validate checks the limits.
func (s *settings) Validate() error {
	var faults []error
	require := func(ok bool, name, what string) {
		if !ok {
			faults = append(faults, fmt.Errorf("setting %s: it must be %s", name, what))
		}
	}
	require(s.MaxUploadSize >= 1, "max-upload-size", "at least one byte")
	require(s.MinUploadRate >= 0, "min-upload-rate", "0 or more")
	require(s.MaxUploads >= 1, "max-uploads", "at least 1")
	require(s.MaxOpenUploads >= s.MaxUploads, "max-open-uploads", "at least max-uploads")
	require(s.UploadIdleTimeout > 0, "upload-idle-timeout", "more than 0s")
	require(s.PublishTimeout > 0, "publish-timeout", "more than 0s")
	require(s.RecordWait >= 0, "record-wait", "0s or more")
	return errors.Join(faults...)
}

// slotWait is how long an upload waits for one of max-uploads. With 207 connections that trickled bytes on 8 slots the
// first good upload waited 3 s, on a busy machine.
const slotWait = 10 * time.Second

func main() {
	about := service.About{
		Name:         "docmill-gateway",
		Description:  "The public HTTP API of Docmill: accepts documents as jobs and serves job states and results.",
		AdminAddress: "127.0.0.1:8081",
	}
	s := &settings{}
	os.Exit(service.Main(about, s, config.Process(), os.Stderr, func(p service.Process) (service.Assembly, error) {
		return assemble(s, p)
	}))
}

// assemble creates the gateway's components. The publisher stops after the server, so that the last uploads are accepted.
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
	status, err := statusclient.New(s.Status, nil)
	if err != nil {
		return service.Assembly{}, err
	}
	box, err := seal.New(s.Seal)
	if err != nil {
		return service.Assembly{}, err
	}
	engine := httpserver.NewEngine("docmill-gateway", p.Log, p.Metrics)
	limits := upload.Limits{
		MaxSize: int64(s.MaxUploadSize), Idle: s.UploadIdleTimeout, MinRate: int64(s.MinUploadRate), Secrets: box != nil,
	}
	announced := &capabilities.Capabilities{}
	listener, err := messages.NewConsumer(message.Announcements, announced.Handler(), message.ConsumerOptions{})
	if err != nil {
		return service.Assembly{}, err
	}
	httpapi.Register(engine, httpapi.Settings{
		Upload: limits, MaxUploads: s.MaxUploads, MaxOpenUploads: s.MaxOpenUploads, SlotWait: slotWait, RecordWait: s.RecordWait,
	}, httpapi.Parts{
		Submitter: &submit.Submitter{
			Sources: sources, Publisher: publisher, PublishTimeout: s.PublishTimeout, Seal: box, Log: p.Log,
			Detector: detect.NewDetector(),
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
		// The service status is not checked: without it documents are still accepted and converted.
		Checks: []health.Check{
			{Name: "broker", Probe: publisher.Check},
			{Name: "store", Probe: sources.Check},
		},
	}, nil
}
