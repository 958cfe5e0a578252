// Package service is the life of a service's process, from its settings to its exit code. A main.go says with it what the
// service is called, which settings it has and which parts it is made of, and nothing else.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/health"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/platform/tracing"
)

// Settings are the settings that every service has. A service embeds them in its own.
type Settings struct {
	Admin struct {
		Address string `default:"${admin_address}" help:"Address of the private port with /healthz, /readyz, /metrics and /debug/pprof."`
	} `embed:"" prefix:"admin-"`
	Host  host.Config    `embed:""`
	Log   logging.Config `embed:"" prefix:"log-"`
	Trace tracing.Config `embed:"" prefix:"trace-"`
}

// Common gives the settings that every service has.
func (s *Settings) Common() *Settings { return s }

// Configured is a pointer to a service's settings, which embed Settings.
type Configured interface{ Common() *Settings }

// About is what is known of a service before it has read any setting.
type About struct {
	// Name is the program's name: docmill-gateway, say.
	Name string
	// Description is one or two sentences for --help.
	Description string
	// AdminAddress is the default of the setting admin-address.
	AdminAddress string
}

// Process is what a running service has from the start.
type Process struct {
	Log     *zap.Logger
	Metrics *prometheus.Registry
}

// Assembly is what a service is made of.
type Assembly struct {
	// Handler is the service's HTTP handler, for the caller to serve; nil if it has none.
	Handler http.Handler
	// Components run together and start in this order.
	Components []host.Component
	// Checks are asked by /readyz.
	Checks []health.Check
}

// Exit codes of a service.
const (
	exitClean    = 0
	exitFailed   = 1
	exitSettings = 2
)

// Main runs a service until it is told to stop and returns the process's exit code. The word "healthcheck" as first
// argument instead asks the service that runs with these settings whether it is ready: the health check of containers.
func Main(about About, settings Configured, src config.Source, stderr io.Writer, assemble func(Process) (Assembly, error)) int {
	healthcheck := len(src.Args) > 0 && src.Args[0] == "healthcheck"
	if healthcheck {
		src.Args = src.Args[1:]
	}
	err := config.Parse(about.Name, about.Description, settings, src, config.Defaults{"admin_address": about.AdminAddress})
	if err != nil {
		return report(stderr, about.Name, err, exitSettings)
	}
	common := settings.Common()
	if healthcheck {
		return report(stderr, about.Name, health.Ask(context.Background(), common.Admin.Address), exitFailed)
	}
	log, err := logging.New(common.Log, about.Name)
	if err != nil {
		return report(stderr, about.Name, err, exitSettings)
	}
	defer log.Sync() //nolint:errcheck // standard error cannot always be synced, and there is nobody left to tell
	if err := run(about, common, log, assemble); err != nil {
		log.Error("stopped", zap.Error(err))
		return exitFailed
	}
	log.Info("stopped")
	return exitClean
}

func report(stderr io.Writer, name string, err error, code int) int {
	if err == nil {
		return exitClean
	}
	_, _ = fmt.Fprintf(stderr, "%s: %v\n", name, err)
	return code
}

// flushTimeout bounds the sending of the last traces at the end.
const flushTimeout = 2 * time.Second

func run(about About, common *Settings, log *zap.Logger, assemble func(Process) (Assembly, error)) (err error) {
	ctx := context.Background()
	flush, err := tracing.Start(ctx, common.Trace, about.Name)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(ctx, flushTimeout)
		defer cancel()
		err = errors.Join(err, flush(ctx))
	}()
	registry := metrics.NewRegistry()
	assembly, err := assemble(Process{Log: log, Metrics: registry})
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	admin := httpserver.Component("admin", common.Admin.Address, health.Handler(registry, assembly.Checks...), log)
	// The admin port is first up and last down: a draining service still says how it is.
	return host.Run(ctx, log, common.Host, append([]host.Component{admin}, assembly.Components...)...)
}
