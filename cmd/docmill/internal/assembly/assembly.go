// Package assembly puts the gateway, the converter and the status service together in one process.
//
// The services are the same code as in the other edition. Only their dependencies differ: a queue and a job store that
// share one SQLite database, and directories in place of buckets. The gateway calls the status service's handler
// directly.
package assembly

import (
	"context"
	"fmt"
	"slices"
	"time"

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

// Settings are those of the three services, without the connections between them.
type Settings struct {
	Gateway   gateway.Config   `embed:""`
	Converter converter.Config `embed:""`
	Status    status.Config    `embed:""`
	Seal      seal.Config      `embed:""`
}

// New assembles the three services on a data directory, which the last component to stop closes. serve, which may be
// nil, returns a component that serves the public API; it stops first.
//
// The gateway and the converter stop at the same time, so that a slow upload does not keep the converter from draining,
// and the status service after them, so that it applies what the converter reports.
func New(s Settings, p service.Process, dir *datadir.Dir, serve func(service.Assembly) host.Component) (service.Assembly, error) {
	statusSide, err := newStatus(s, p, dir)
	if err != nil {
		return service.Assembly{}, fmt.Errorf("status: %w", err)
	}
	box, err := newBox(s.Seal, dir)
	if err != nil {
		return service.Assembly{}, err
	}
	converterSide, err := newConverter(s, p, dir, box)
	if err != nil {
		return service.Assembly{}, fmt.Errorf("converter: %w", err)
	}
	gatewaySide, err := newGateway(s, p, dir, box, statusSide)
	if err != nil {
		return service.Assembly{}, fmt.Errorf("gateway: %w", err)
	}
	if serve != nil {
		gatewaySide.Components = append(gatewaySide.Components, serve(gatewaySide))
	}
	return service.Assembly{
		Handler: gatewaySide.Handler,
		Checks: slices.Concat(
			[]health.Check{{Name: "database", Probe: dir.Check, Essential: true}},
			named("status", statusSide.Checks), named("converter", converterSide.Checks), named("gateway", gatewaySide.Checks),
		),
		Components: []host.Component{
			closing(dir, p.Log),
			host.Sequence("status", p.Log, statusSide.Components...),
			host.Parallel("gateway and converter",
				host.Sequence("converter", p.Log, converterSide.Components...),
				host.Sequence("gateway", p.Log, gatewaySide.Components...)),
		},
	}, nil
}

// of returns the log and the metrics of a service.
func of(p service.Process, name string) (*zap.Logger, prometheus.Registerer) {
	return p.Log.Named(name), prometheus.WrapRegistererWith(prometheus.Labels{"service": name}, p.Metrics)
}

func newStatus(s Settings, p service.Process, dir *datadir.Dir) (service.Assembly, error) {
	log, metrics := of(p, status.Name)
	return status.New(s.Status, status.Deps{
		Messages: dir.Messages.Broker(status.Name, log, metrics), Jobs: dir.Jobs, Sources: dir.Sources, Results: dir.Results,
		Log: log, Metrics: metrics,
	})
}

func newConverter(s Settings, p service.Process, dir *datadir.Dir, box *seal.Box) (service.Assembly, error) {
	if s.Converter.WorkDir == "" {
		s.Converter.WorkDir = dir.WorkDir()
	}
	log, metrics := of(p, converter.Name)
	return converter.New(s.Converter, converter.Deps{
		Messages: dir.Messages.Broker(converter.Name, log, metrics), Sources: dir.Sources, Results: dir.Results,
		Seal: box, ResumedAt: time.Now(), Log: log, Metrics: metrics,
	})
}

func newGateway(s Settings, p service.Process, dir *datadir.Dir, box *seal.Box, statusSide service.Assembly) (service.Assembly, error) {
	log, metrics := of(p, gateway.Name)
	return gateway.New(s.Gateway, gateway.Deps{
		Messages: dir.Messages.Broker(gateway.Name, log, metrics), Sources: dir.Sources, Results: dir.Results,
		Status: gateway.Status{URL: "http://status"}, StatusTransport: httpserver.InProcess(statusSide.Handler),
		JobDeadline: s.Status.JobDeadline, Webhooks: s.Status.Webhook.Enabled(), SingleConverter: true, Seal: box, Log: log, Metrics: metrics,
	})
}

// newBox returns what encrypts and decrypts passwords. The key of the settings comes first, if there is one; the
// directory's own key then still decrypts the passwords of jobs that were accepted before.
func newBox(settings seal.Config, dir *datadir.Dir) (*seal.Box, error) {
	key, err := dir.SealKey()
	if err != nil {
		return nil, err
	}
	return seal.New(seal.Config{Keys: config.NewSecret(settings.Keys.Reveal() + "\n" + key.Reveal())})
}

// named returns a service's checks under its name. None of them is essential: this process answers polls as long as it has
// its database.
func named(service string, checks []health.Check) []health.Check {
	checks = slices.Clone(checks)
	for i := range checks {
		checks[i].Name, checks[i].Essential = service+"-"+checks[i].Name, false
	}
	return checks
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
