// Package converter is the service that converts documents: it takes commands from a queue, converts the documents with
// LibreOffice, and stores and reports the results.
//
// LibreOffice runs in a zygote, a process of the same binary as the program that links this package. Package
// internal/libreoffice/zygote describes how the binary becomes a zygote, and why that does not affect the program
// otherwise.
package converter

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/fleet"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/disk"
	"github.com/docmill/docmill/platform/health"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/observed"
	"github.com/docmill/docmill/platform/processdir"
	"github.com/docmill/docmill/platform/seal"
	"github.com/docmill/docmill/platform/service"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/build"
	"github.com/docmill/docmill/services/converter/internal/capacity"
	"github.com/docmill/docmill/services/converter/internal/conversion"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/fonts"
	"github.com/docmill/docmill/services/converter/internal/libreoffice"
	"github.com/docmill/docmill/services/converter/internal/pace"
	"github.com/docmill/docmill/services/converter/internal/pdf"
	"github.com/docmill/docmill/services/converter/internal/phase"
	"github.com/docmill/docmill/services/converter/internal/presence"
)

// Name is the service's name in logs, traces and messages.
const Name = "docmill-converter"

// Config are the converter's settings, without those of its connections.
type Config struct {
	Slots           int           `default:"0" help:"Number of concurrent conversions. 0: one per processor core, or fewer if the memory or the disk does not have conversion-memory and conversion-disk for each."`
	WorkDir         string        `name:"work-dir" help:"Directory for the files of running conversions. Default: the system's directory for temporary files; for docmill serve, work/ in the data directory." placeholder:"DIRECTORY" type:"path"`
	TransferTimeout time.Duration `name:"transfer-timeout" default:"10m" help:"How long a conversion tries to fetch its document or to store its result while the object store fails. Then its command returns to the queue."`

	Limits      engine.Limits      `embed:""`
	LibreOffice libreoffice.Config `embed:""`
	Fonts       fonts.Config       `embed:""`
	Images      pdf.ImageConfig    `embed:""`
}

// maxTransferTimeout leaves the rest of an attempt, engine.AttemptTimeout, to the other transfer and the conversion.
const maxTransferTimeout = 10 * time.Minute

// Validate rejects a negative number of slots and a useless time limit. The embedded settings have methods of their own.
func (c *Config) Validate() error {
	if c.Slots < 0 {
		return errors.New("setting slots: it must be 0 or more")
	}
	if c.TransferTimeout < time.Second || c.TransferTimeout > maxTransferTimeout {
		return fmt.Errorf("setting transfer-timeout: %s is not between 1s and %s", c.TransferTimeout, maxTransferTimeout)
	}
	return nil
}

// Concurrency returns the number of concurrent conversions. GOMAXPROCS respects a container's share of the processors.
func (c *Config) Concurrency() int {
	if c.Slots > 0 {
		return c.Slots
	}
	return runtime.GOMAXPROCS(0)
}

// fitting returns the number of concurrent conversions that this machine or container has room for. A limit that cannot be
// determined does not count.
func (c *Config) fitting(directory string, log *zap.Logger) int {
	var rooms []capacity.Room
	memory, err := capacity.Memory(c.Limits.Memory)
	if err != nil {
		log.Warn("cannot compare the slots with the memory", zap.Error(err))
	} else {
		rooms = append(rooms, memory)
	}
	space, err := capacity.Disk(directory, c.Limits.Disk, config.Size(c.Limits.MinFree()))
	if err != nil {
		log.Warn("cannot compare the slots with the disk", zap.Error(err))
	} else {
		rooms = append(rooms, space)
	}
	return capacity.Slots(c.Concurrency(), c.Slots > 0, rooms, log)
}

// Deps are the dependencies of a converter. All fields but Seal are required.
type Deps struct {
	// Messages carries the commands and the events.
	Messages message.Broker
	// Sources holds the uploaded documents, Results receives the results.
	Sources, Results blob.Bucket
	// Seal decrypts passwords. If it is nil, there is no key.
	Seal *seal.Box
	// ResumedAt is when the deadlines of all jobs began again: the start of the only process that works on them. It is zero
	// if there may be other converters.
	ResumedAt time.Time
	Log       *zap.Logger
	Metrics   prometheus.Registerer
}

// observed returns the dependencies with buckets that are measured.
func (d Deps) observed() Deps {
	buckets := observed.New(d.Metrics)
	d.Sources, d.Results = buckets.Bucket("sources", d.Sources), buckets.Bucket("results", d.Results)
	return d
}

// New returns the components and checks of a converter. It finds the programs that are needed, but does not connect or
// start anything. The components stop in reverse order: first the consumers, which finish their conversions, then the
// publisher, which reports them.
func New(settings Config, deps Deps) (service.Assembly, error) {
	tools, err := pdf.FindTools()
	if err != nil {
		return service.Assembly{}, err
	}
	directory, err := processdir.Open(settings.WorkDir, "converter")
	if err != nil {
		return service.Assembly{}, fmt.Errorf("setting work-dir: %w", err)
	}
	if err := directory.Leftovers(); err != nil {
		deps.Log.Warn("cannot remove what a killed process has left", zap.Error(err))
	}
	settings.Slots = settings.fitting(directory.Path(), deps.Log)
	assembly, err := assemble(settings, deps.observed(), tools, directory)
	if err != nil {
		return service.Assembly{}, errors.Join(err, directory.Close())
	}
	deps.Log.Info("configured", zap.Int("slots", settings.Slots), zap.String("directory", directory.Path()))
	return assembly, nil
}

func assemble(settings Config, deps Deps, tools *pdf.Tools, directory *processdir.Dir) (service.Assembly, error) {
	stopping, average, phases := make(chan struct{}), &pace.Average{}, phase.New(deps.Metrics)
	set, err := installFonts(settings, directory.Path())
	if err != nil {
		return service.Assembly{}, err
	}
	office, library, err := newEngine(settings, deps, tools, directory.Path(), set, phases)
	if err != nil {
		return service.Assembly{}, err
	}
	identity := identify(settings, office, set, tools, deps.Log)
	go identity.Digest() // before LibreOffice is loaded, and at the same time as the rest
	publisher, err := deps.Messages.NewPublisher(message.PublisherOptions{})
	if err != nil {
		return service.Assembly{}, err
	}
	space := func() error { return settings.Limits.CheckSpace(directory.Path()) }
	ready := func(ctx context.Context) error {
		return errors.Join(publisher.Check(ctx), space(), deps.Sources.Check(ctx), deps.Results.Check(ctx), office.Check(ctx))
	}
	converters := &fleet.Fleet{Single: !deps.ResumedAt.IsZero()}
	converter := conversion.New(conversion.Deps{
		Slots: settings.Concurrency(), Engine: office, Renderer: pdf.NewRenderer(tools, settings.Limits, settings.Images),
		Encrypter: pdf.NewEncrypter(tools, settings.Limits),
		Sources:   deps.Sources, Results: deps.Results, Publisher: publisher, Workdir: directory, Publishable: publisher.Check, Space: space, Ready: ready,
		Share:           conversion.ShareOf(directory.Path(), settings.Concurrency(), disk.Free),
		TransferTimeout: settings.TransferTimeout, DeliveryTimeout: conversion.DeliveryTimeout, Stopping: stopping, ResumedAt: deps.ResumedAt, Pace: average,
		Formats: office.Formats(), Converters: converters, Fonts: library, PDF: tools, Build: identity, Seal: deps.Seal, Metrics: conversion.NewMetrics(deps.Metrics), Phases: phases, Log: deps.Log,
	})
	listener, err := deps.Messages.NewConsumer(message.Announcements, announcements(converters, converter), message.ConsumerOptions{})
	if err != nil {
		return service.Assembly{}, err
	}
	announcer := presence.Announcer{
		Publisher: publisher, Formats: office.Formats(), Slots: settings.Concurrency(), Pace: average, Build: identity, Log: deps.Log,
	}
	var consumers consumers
	for _, queue := range []message.Queue{message.Commands, message.Returned} {
		consumer, err := deps.Messages.NewConsumer(queue, converter.Handler(), message.ConsumerOptions{Ready: converter.Ready})
		if err != nil {
			return service.Assembly{}, err
		}
		consumers = append(consumers, consumer)
	}
	return service.Assembly{
		Components: []host.Component{
			cleanup(directory),
			{Name: "engine", Run: office.Run},
			{Name: "publisher", Run: publisher.Run},
			{Name: "announcements", Run: listener.Run},
			{Name: "announcer", Run: announcer.Run},
			{Name: "consumers", Run: consumers.run},
			announceStop(stopping),
		},
		// A converter has no callers. A rolling update must wait until the new one works.
		Checks: []health.Check{
			{Name: "messages", Probe: publisher.Check, Essential: true},
			{Name: "commands", Probe: consumers.check, Essential: true},
			{Name: "blobs", Probe: deps.Sources.Check, Essential: true},
			{Name: "engine", Probe: office.Check, Essential: true},
		},
	}, nil
}

// announcements returns the handler for the announcements of other converters and of cancellations.
func announcements(converters *fleet.Fleet, converter *conversion.Converter) message.Handler {
	return message.Each{Concurrency: 1, Handle: func(ctx context.Context, d *message.Delivery) message.Outcome {
		if body, err := d.Message(); err == nil {
			if announced, ok := body.(*conversionv1.CancelAnnounced); ok {
				converter.Cancel(announced.GetJobId(), announced.GetGeneration())
				return message.Ack
			}
		}
		return converters.Handle(ctx, d)
	}}
}

// newEngine returns LibreOffice and the fonts that it uses.
func newEngine(
	settings Config, deps Deps, tools *pdf.Tools, directory string, set *fonts.Set, phases *phase.Phases,
) (*libreoffice.Engine, *fonts.Library, error) {
	office, err := libreoffice.New(settings.LibreOffice, settings.Limits, libreoffice.Deps{
		Tools: tools, Directory: directory, Fonts: set, Log: deps.Log, Metrics: deps.Metrics, Phases: phases,
	})
	if err != nil {
		return nil, nil, err
	}
	library, err := fonts.Open(directory, set, deps.Log)
	return office, library, err
}

// libraries is the file that the dynamic linker's configuration program writes whenever libraries of the system change.
const libraries = "/etc/ld.so.cache"

// identify returns the build of the converter.
func identify(settings Config, office *libreoffice.Engine, set *fonts.Set, tools *pdf.Tools, log *zap.Logger) *build.Build {
	return build.New(build.Parts{
		Executable: "/proc/self/exe", Settings: []any{settings.Limits, settings.Fonts, settings.Images},
		Paths: slices.Concat(office.Files(), []string{libraries}, set.Sources(), tools.Files()),
	}, log)
}

// installFonts writes the fonts that LibreOffice will use to a directory.
func installFonts(config Config, directory string) (*fonts.Set, error) {
	office, err := libreoffice.FontDirectory(config.LibreOffice)
	if err != nil {
		return nil, err
	}
	return fonts.Install(directory, config.Fonts, office)
}

// consumers are run together.
type consumers []message.Consumer

// run is the Run of a host.Component.
func (c consumers) run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	group, ctx := errgroup.WithContext(ctx)
	var starting sync.WaitGroup
	starting.Add(len(c))
	for _, consumer := range c {
		group.Go(func() error { return consumer.Run(ctx, starting.Done, drain) })
	}
	starting.Wait()
	ready()
	return group.Wait()
}

// check returns nil while all of them take deliveries.
func (c consumers) check(ctx context.Context) error {
	var errs []error
	for _, consumer := range c {
		errs = append(errs, consumer.Check(ctx))
	}
	return errors.Join(errs...)
}

// announceStop is a component that closes stopping before the components ahead of it are stopped.
func announceStop(stopping chan<- struct{}) host.Component {
	return host.Component{Name: "stop", Run: func(_ context.Context, ready func(), drain <-chan struct{}) error {
		ready()
		<-drain
		close(stopping)
		return nil
	}}
}

// cleanup is a component that removes the work directory after everything else has stopped.
func cleanup(directory *processdir.Dir) host.Component {
	return host.Component{Name: "work directory", Run: func(_ context.Context, ready func(), drain <-chan struct{}) error {
		ready()
		<-drain
		return directory.Close()
	}}
}
