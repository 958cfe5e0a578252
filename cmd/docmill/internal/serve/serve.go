// Package serve is the single-process edition of Docmill: the gateway, the converter and the status service in one
// process, on SQLite and a directory.
//
// The services are the same code as in the other edition. Only their dependencies differ: a queue and a job store that
// share one SQLite database, and directories in place of buckets. The gateway calls the status service's handler
// directly.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docmill/docmill/cmd/docmill/internal/datadir"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/health"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/seal"
	"github.com/docmill/docmill/platform/service"
	"github.com/docmill/docmill/services/converter"
	"github.com/docmill/docmill/services/gateway"
	"github.com/docmill/docmill/services/status"
)

// settings are those of the three services, without the connections between them.
type settings struct {
	service.Settings `embed:""`

	Address string `default:"127.0.0.1:8080" help:"Address of the public API."`
	Data    string `default:"~/.local/share/docmill" type:"path" placeholder:"DIR" help:"Directory of the database and the files, used by one process at a time. Default: ~/.local/share/docmill."`

	Gateway   gateway.Config   `embed:""`
	Converter converter.Config `embed:""`
	Status    status.Config    `embed:""`
	Seal      seal.Config      `embed:""`
}

// Main runs `docmill serve` with these arguments and returns the process's exit code.
func Main(args []string) int {
	about := service.About{
		Name: "docmill", Command: "docmill serve", AdminAddress: "127.0.0.1:8081",
		Description: "Runs all of Docmill in one process, on SQLite and a directory: the way to start, and enough for one machine.",
	}
	source := config.Process()
	source.Args = args
	var s settings
	return service.Main(about, &s, source, os.Stderr, func(p service.Process) (service.Assembly, error) {
		return s.assemble(p, source.Stdout)
	})
}

// assemble opens the data directory and assembles the services on it.
func (s *settings) assemble(p service.Process, out io.Writer) (service.Assembly, error) {
	dir, err := datadir.Open(context.Background(), s.Data, p.Log, p.Metrics)
	if err != nil {
		return service.Assembly{}, err
	}
	assembly, err := s.services(p, dir)
	if err != nil {
		return service.Assembly{}, errors.Join(err, dir.Close())
	}
	assembly.Components = append([]host.Component{closing(dir)}, assembly.Components...)
	assembly.Components = append(assembly.Components,
		httpserver.Component("http", s.Address, assembly.Handler, p.Log), s.greeting(out))
	return assembly, nil
}

// services assembles the three services. They stop in reverse order: the gateway first, so that nothing new is
// accepted, and the status service last, so that it applies what the converter has to report.
func (s *settings) services(p service.Process, dir *datadir.Dir) (service.Assembly, error) {
	box, err := s.box(dir)
	if err != nil {
		return service.Assembly{}, err
	}
	if s.Converter.WorkDir == "" {
		s.Converter.WorkDir = dir.WorkDir()
	}
	of := func(name string) (*zap.Logger, prometheus.Registerer) {
		return p.Log.Named(name), prometheus.WrapRegistererWith(prometheus.Labels{"service": name}, p.Metrics)
	}
	log, metrics := of(status.Name)
	statusSide, err := status.New(s.Status, status.Deps{
		Messages: dir.Messages.Broker(status.Name, log, metrics), Jobs: dir.Jobs, Log: log, Metrics: metrics,
	})
	if err != nil {
		return service.Assembly{}, fmt.Errorf("status: %w", err)
	}
	log, metrics = of(converter.Name)
	converterSide, err := converter.New(s.Converter, converter.Deps{
		Messages: dir.Messages.Broker(converter.Name, log, metrics), Sources: dir.Sources, Results: dir.Results,
		Seal: box, Log: log, Metrics: metrics,
	})
	if err != nil {
		return service.Assembly{}, fmt.Errorf("converter: %w", err)
	}
	log, metrics = of(gateway.Name)
	gatewaySide, err := gateway.New(s.Gateway, gateway.Deps{
		Messages: dir.Messages.Broker(gateway.Name, log, metrics), Sources: dir.Sources, Results: dir.Results,
		Status: gateway.Status{URL: "http://status"}, StatusTransport: httpserver.InProcess(statusSide.Handler),
		Seal: box, Log: log, Metrics: metrics,
	})
	if err != nil {
		return service.Assembly{}, fmt.Errorf("gateway: %w", err)
	}
	together := service.Assembly{
		Handler: gatewaySide.Handler,
		Checks:  []health.Check{{Name: "database", Probe: dir.Check}},
	}
	for _, part := range []struct {
		name string
		service.Assembly
	}{{"status", statusSide}, {"converter", converterSide}, {"gateway", gatewaySide}} {
		for _, component := range part.Components {
			component.Name = part.name + ": " + component.Name
			together.Components = append(together.Components, component)
		}
		for _, check := range part.Checks {
			check.Name = part.name + "-" + check.Name
			together.Checks = append(together.Checks, check)
		}
	}
	return together, nil
}

// box opens and seals passwords, with the key of the settings or else the directory's own.
func (s *settings) box(dir *datadir.Dir) (*seal.Box, error) {
	if s.Seal.Keys.Reveal() == "" {
		key, err := dir.SealKey()
		if err != nil {
			return nil, err
		}
		s.Seal.Keys = key
	}
	return seal.New(s.Seal)
}

// closing is the component that closes the directory after everything else has stopped.
func closing(dir *datadir.Dir) host.Component {
	return host.Component{Name: "data directory", Run: func(_ context.Context, ready func(), drain <-chan struct{}) error {
		ready()
		<-drain
		return dir.Close()
	}}
}

// greeting is the component that prints the URL and the data directory.
func (s *settings) greeting(out io.Writer) host.Component {
	return host.Component{Name: "greeting", Run: func(_ context.Context, ready func(), drain <-chan struct{}) error {
		fmt.Fprintf(out, "Docmill is ready at %s\nData directory: %s\n", urlOf(s.Address), s.Data)
		ready()
		<-drain
		return nil
	}}
}

// urlOf returns the URL of an address. If the process listens on all addresses, it is the URL on this machine.
func urlOf(address string) string {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return "http://" + address
	}
	if ip := net.ParseIP(name); name == "" || ip != nil && ip.IsUnspecified() {
		name = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(name, port)
}
