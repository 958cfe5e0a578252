// Package service runs the process of a service, from its settings to its exit code. A main function only defines the
// name, the settings and the components of the service.
package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/signal"
	"slices"
	"strings"
	"syscall"
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

// Settings are the settings that all services have. A service embeds them in its own.
type Settings struct {
	Admin struct {
		Address string `default:"${admin_address}" help:"Address of the private admin port with /healthz, /readyz, /startupz, /metrics and /debug/pprof."`
	} `embed:"" prefix:"admin-"`
	Host  host.Config    `embed:""`
	Log   logging.Config `embed:"" prefix:"log-"`
	Trace tracing.Config `embed:"" prefix:"trace-"`
}

// Common returns the settings that all services have.
func (s *Settings) Common() *Settings { return s }

// Configured is a pointer to a service's settings, which embed Settings.
type Configured interface{ Common() *Settings }

// About describes a service.
type About struct {
	// Name is the name of the service in logs and traces, such as docmill-gateway.
	Name string
	// Command is how the program is called, if not by Name.
	Command string
	// Description is one or two sentences for --help.
	Description string
	// AdminAddress is the default of the setting admin-address, and DrainDelay that of drain-delay.
	AdminAddress string
	DrainDelay   time.Duration
}

// DrainDelay is the default delay of a service that has callers: a load balancer that checks /readyz every second or two has
// noticed by then.
const DrainDelay = 5 * time.Second

func (a About) command() string { return cmp.Or(a.Command, a.Name) }

// Process is what a service receives when it starts.
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
	// Checks are those of the dependencies, for /readyz and the metrics.
	Checks []health.Check
}

// Exit codes of a service.
const (
	exitClean    = 0
	exitFailed   = 1
	exitSettings = 2
)

// Main runs a service until it is stopped and returns the exit code of the process. With "healthcheck" as first
// argument it instead queries the service that runs with these settings; see [Healthcheck]. The second argument may then
// be the endpoint.
func Main(about About, settings Configured, src config.Source, stderr io.Writer, assemble func(Process) (Assembly, error)) int {
	endpoint := ""
	if len(src.Args) > 0 && src.Args[0] == "healthcheck" {
		endpoint, src.Args = "healthz", src.Args[1:]
		if len(src.Args) > 0 && !strings.HasPrefix(src.Args[0], "-") {
			endpoint, src.Args = src.Args[0], src.Args[1:]
		}
	}
	if err := parse(about, settings, src); err != nil {
		return report(stderr, about.command(), err, exitSettings)
	}
	if endpoint != "" {
		return Healthcheck(about, settings, endpoint, stderr)
	}
	return Run(about, settings, stderr, assemble)
}

// Task runs a task that ends by itself, such as a repair, with the settings of a service and its own, and returns the exit
// code of the process. SIGINT and SIGTERM end the context of run.
func Task(about About, settings Configured, src config.Source, stderr io.Writer, run func(context.Context) error) int {
	if err := parse(about, settings, src); err != nil {
		return report(stderr, about.command(), err, exitSettings)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return report(stderr, about.command(), run(ctx), exitFailed)
}

func parse(about About, settings Configured, src config.Source) error {
	return config.Parse(about.command(), about.Description, settings, src, config.Defaults{
		"admin_address": about.AdminAddress, "drain_delay": about.DrainDelay.String(),
	})
}

// Healthcheck queries an endpoint of the service that runs with these settings, healthz, readyz or startupz, and returns
// the exit code of the process: 0 if the answer is 200. It is for containers, which have no HTTP client.
func Healthcheck(about About, settings Configured, endpoint string, stderr io.Writer) int {
	if !slices.Contains([]string{"healthz", "readyz", "startupz"}, endpoint) {
		err := fmt.Errorf("healthcheck %s: the endpoint must be healthz, readyz or startupz", endpoint)
		return report(stderr, about.command(), err, exitSettings)
	}
	err := health.Query(context.Background(), settings.Common().Admin.Address, endpoint)
	return report(stderr, about.command(), err, exitFailed)
}

// Run runs a service with settings that were parsed until it is stopped, and returns the exit code of the process.
func Run(about About, settings Configured, stderr io.Writer, assemble func(Process) (Assembly, error)) int {
	common, command := settings.Common(), about.command()
	log, err := logging.New(common.Log, about.Name)
	if err != nil {
		return report(stderr, command, err, exitSettings)
	}
	defer log.Sync() //nolint:errcheck // standard error cannot always be synced, and an error cannot be reported anymore
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

// flushTimeout limits the time to send the remaining traces at the end.
const flushTimeout = 2 * time.Second

func run(about About, common *Settings, log *zap.Logger, assemble func(Process) (Assembly, error)) (err error) {
	ctx := context.Background()
	flush, err := tracing.Start(ctx, common.Trace, about.Name, log)
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
	// The admin port starts first and stops last, so that a draining service still reports its state.
	return host.Run(ctx, log, common.Host, append([]host.Component{admin}, assembly.Components...)...)
}
