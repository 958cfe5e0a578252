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
	assembly.Components = append([]host.Component{closing(dir, p.Log)}, append(assembly.Components, s.greeting(out))...)
	return assembly, nil
}

// services assembles the three services. The gateway and the converter stop at the same time, so that a slow upload does not
// keep the converter from draining, and the status service after them, so that it applies what the converter reports.
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
	server := httpserver.Component("http", s.Address, gatewaySide.Handler, p.Log)
	gatewaySide.Components = append(gatewaySide.Components, server)
	together := service.Assembly{
		Checks: []health.Check{{Name: "database", Probe: dir.Check}},
		Components: []host.Component{
			host.Sequence("status", p.Log, statusSide.Components...),
			host.Parallel("gateway and converter",
				host.Sequence("converter", p.Log, converterSide.Components...),
				host.Sequence("gateway", p.Log, gatewaySide.Components...)),
		},
	}
	for _, side := range []struct {
		name   string
		checks []health.Check
	}{{"status", statusSide.Checks}, {"converter", converterSide.Checks}, {"gateway", gatewaySide.Checks}} {
		for _, check := range side.checks {
			check.Name = side.name + "-" + check.Name
			together.Checks = append(together.Checks, check)
		}
	}
	return together, nil
}

// box encrypts and decrypts passwords. The key of the settings comes first, if there is one; the directory's own key then
// still decrypts the passwords of jobs that were accepted before.
func (s *settings) box(dir *datadir.Dir) (*seal.Box, error) {
	key, err := dir.SealKey()
	if err != nil {
		return nil, err
	}
	return seal.New(seal.Config{Keys: config.NewSecret(s.Seal.Keys.Reveal() + "\n" + key.Reveal())})
}

// closing is the component that closes the directory after everything else has stopped.
func closing(dir *datadir.Dir, log *zap.Logger) host.Component {
	return host.Component{Name: "data directory", Run: func(ctx context.Context, ready func(), drain <-chan struct{}) error {
		ready()
		<-drain
		if ctx.Err() != nil { // the drain deadline has passed, and others may still be at work
			return dir.Abandon()
		}
		return dir.Finish(ctx, log)
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
