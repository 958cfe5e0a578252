// Docmill-converter takes commands to convert documents from RabbitMQ, converts them with LibreOffice and stores the results.
package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"

	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/health"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/objectstore"
	"github.com/docmill/docmill/platform/rabbitmq"
	"github.com/docmill/docmill/platform/seal"
	"github.com/docmill/docmill/platform/service"
	"github.com/docmill/docmill/services/converter/internal/conversion"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/fonts"
	"github.com/docmill/docmill/services/converter/internal/forkserver"
	"github.com/docmill/docmill/services/converter/internal/installation"
	"github.com/docmill/docmill/services/converter/internal/paper"
	"github.com/docmill/docmill/services/converter/internal/pdf"
	"github.com/docmill/docmill/services/converter/internal/presence"
	"github.com/docmill/docmill/services/converter/internal/protect"
	"github.com/docmill/docmill/services/converter/internal/render"
	"github.com/docmill/docmill/services/converter/internal/visible"
	"github.com/docmill/docmill/services/converter/internal/workdir"
)

const name = "docmill-converter"

// settings are the converter's.
type settings struct {
	service.Settings `embed:""`

	Slots   int    `default:"0" help:"How many documents are converted at once. 0: one for each processor core."`
	WorkDir string `name:"work-dir" help:"Folder for the files of running conversions. Empty: the system's folder for temporary files." placeholder:"FOLDER" type:"path"`

	Office engine.Config     `embed:""`
	Engine forkserver.Config `embed:""`
	Render render.Config     `embed:""`

	Broker rabbitmq.Config    `embed:"" prefix:"broker-"`
	Store  objectstore.Config `embed:"" prefix:"store-"`
	Seal   seal.Config        `embed:""`
}

// Validate refuses a negative number of slots.
func (s *settings) Validate() error {
	if s.Slots < 0 {
		return errors.New("setting slots: it must be 0 or more")
	}
	return nil
}

func main() {
	about := service.About{
		Name:         name,
		Description:  "Takes commands to convert documents from RabbitMQ, converts them with LibreOffice and stores the results.",
		AdminAddress: "127.0.0.1:8082",
	}
	s := &settings{}
	os.Exit(service.Main(about, s, config.Process(), os.Stderr, func(p service.Process) (service.Assembly, error) {
		return assemble(s, p)
	}))
}

// assemble makes the converter's parts. They stop in reverse: first the consumer, which ends what it has begun, then the
// publisher that tells of it.
func assemble(s *settings, p service.Process) (service.Assembly, error) {
	store, err := objectstore.New(s.Store)
	if err != nil {
		return service.Assembly{}, err
	}
	messages, err := rabbitmq.New(s.Broker, name, p.Log, p.Metrics)
	if err != nil {
		return service.Assembly{}, err
	}
	publisher, err := messages.NewPublisher(message.PublisherOptions{})
	if err != nil {
		return service.Assembly{}, err
	}
	box, err := seal.New(s.Seal)
	if err != nil {
		return service.Assembly{}, err
	}
	renderer, protector, err := s.finishers()
	if err != nil {
		return service.Assembly{}, err
	}
	folder, err := workdir.Open(s.WorkDir)
	if err != nil {
		return service.Assembly{}, err
	}
	office, err := forkserver.New(s.Office, s.Engine, folder.Path(), p.Log, p.Metrics)
	if err != nil {
		return service.Assembly{}, errors.Join(err, folder.Close())
	}
	library, inspector, err := s.lookers(p, folder.Path())
	if err != nil {
		return service.Assembly{}, errors.Join(err, folder.Close())
	}
	converter := conversion.New(conversion.Parts{
		Engine: paper.Engine{Next: visible.Engine{Next: office}}, Renderer: renderer, Protector: protector, Store: store, Publisher: publisher, Folder: folder,
		Fonts: library, PDF: inspector,
		Sources: s.Store.SourcesBucket, Results: s.Store.ResultsBucket, Seal: box,
		Metrics: conversion.NewMetrics(p.Metrics), Log: p.Log,
	})
	slots := s.slots()
	handler := message.Each{Concurrency: slots, Handle: converter.Handle}
	consumer, err := messages.NewConsumer(message.Commands, handler, message.ConsumerOptions{})
	if err != nil {
		return service.Assembly{}, errors.Join(err, folder.Close())
	}
	p.Log.Info("configured", zap.Int("slots", slots), zap.String("folder", folder.Path()))
	return service.Assembly{
		Components: []host.Component{
			folderPart(folder),
			store.Component(p.Log, s.Store.SourcesBucket, s.Store.ResultsBucket),
			{Name: "engine", Run: office.Run},
			{Name: "publisher", Run: publisher.Run},
			{Name: "announcer", Run: presence.Announcer{Publisher: publisher, Formats: office.Formats(), Log: p.Log}.Run},
			{Name: "consumer", Run: consumer.Run},
		},
		Checks: []health.Check{
			{Name: "broker", Probe: publisher.Check},
			{Name: "queue", Probe: consumer.Check},
			{Name: "store", Probe: func(ctx context.Context) error { return store.Check(ctx, s.Store.SourcesBucket) }},
			{Name: "engine", Probe: office.Check},
		},
	}, nil
}

// finishers make of LibreOffice's PDFs what it does not make itself.
func (s *settings) finishers() (*render.Renderer, *protect.Protector, error) {
	renderer, err := render.New(s.Office, s.Render)
	if err != nil {
		return nil, nil, err
	}
	protector, err := protect.New(s.Office)
	return renderer, protector, err
}

// lookers are what tells which fonts there are, and which a result has.
func (s *settings) lookers(p service.Process, folder string) (*fonts.Library, *pdf.Inspector, error) {
	inspector, err := pdf.NewInspector()
	if err != nil {
		return nil, nil, err
	}
	program, err := installation.Find(s.Office.Program, "libsofficeapp.so", "libmergedlo.so")
	if err != nil {
		return nil, nil, err
	}
	library, err := fonts.Open(folder, p.Log, filepath.Join(filepath.Dir(program), "share", "fonts", "truetype"))
	return library, inspector, err
}

// slots is how many documents are converted at once. GOMAXPROCS knows of a container's share of the processors.
func (s *settings) slots() int {
	if s.Slots > 0 {
		return s.Slots
	}
	return runtime.GOMAXPROCS(0)
}

// folderPart removes the work folder when everything else has stopped.
func folderPart(folder *workdir.Folder) host.Component {
	return host.Component{Name: "work folder", Run: func(_ context.Context, ready func(), drain <-chan struct{}) error {
		ready()
		<-drain
		return folder.Close()
	}}
}
