package system

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docmill/docmill/devstack/daemon"
	"github.com/docmill/docmill/devstack/port"
	"github.com/docmill/docmill/devstack/process"
)

// Names of the services.
const (
	Gateway   = "gateway"
	Converter = "converter"
	Status    = "status"
	// Embedded is everything in one process.
	Embedded = "docmill"
)

// Program is one of Docmill's programs.
type Program struct {
	// Service is the service that it runs.
	Service string
	// Binary is the name of its binary, and Package the directory of its main package in the project.
	Binary, Package string
	// Args come before the settings, which are in the environment.
	Args []string
}

// Services returns the programs of the three services, in the order in which they are started.
func Services() []Program {
	return []Program{
		{Service: Status, Binary: "docmill-status", Package: "services/status/cmd/docmill-status"},
		{Service: Converter, Binary: "docmill-converter", Package: "services/converter/cmd/docmill-converter"},
		{Service: Gateway, Binary: "docmill-gateway", Package: "services/gateway/cmd/docmill-gateway"},
	}
}

// Single returns the program of the embedded edition.
func Single() Program {
	return Program{Service: Embedded, Binary: "docmill", Package: "cmd/docmill", Args: []string{"serve"}}
}

// programOf returns the program that runs a service.
func programOf(service string) Program {
	for _, program := range append(Services(), Single()) {
		if program.Service == service {
			return program
		}
	}
	panic("no program runs " + service)
}

// stopGrace is longer than the services' own drain timeout of 30 s: who drains is not cut short.
const stopGrace = 40 * time.Second

// Service is one Docmill service as a child process. It can be stopped, killed and started again on the same ports.
type Service struct {
	*daemon.Daemon
	// AdminURL is where /healthz, /readyz and /metrics are.
	AdminURL string
	// URL is what it serves besides; empty for the converter, which only consumes messages.
	URL string

	name    string
	options Options
	env     []string
	ports   []int // admin, and then what it serves
}

// newService makes a service that does not run yet. Ports of 0 are drawn at its first start.
func newService(name string, options Options, env []string, ports ...int) *Service {
	s := &Service{name: name, options: options, env: env, ports: ports}
	s.Daemon = daemon.New(name, s.launch)
	return s
}

// settle makes known where the service is, once its ports are drawn.
func (s *Service) settle() {
	s.AdminURL = "http://" + port.Address(s.ports[0])
	if len(s.ports) > 1 {
		s.URL = "http://" + port.Address(s.ports[1])
	}
}

// launch starts the service and waits until it says that it is ready.
func (s *Service) launch(ctx context.Context) (*process.Process, error) {
	program := programOf(s.name)
	started, err := process.Start(process.Spec{
		Name: s.name, Path: filepath.Join(s.options.Binaries, program.Binary), Args: program.Args, Env: s.environment(),
		LogFile: filepath.Join(s.options.LogDir, s.name+".log"), Grace: stopGrace,
	})
	if err != nil {
		return nil, err
	}
	if err := started.WaitReady(ctx, s.Ready); err != nil {
		started.Kill()
		return nil, err
	}
	return started, nil
}

// environment is the service's settings, and of this process's own environment only what says how the machine is laid
// out: settings in it are meant for another Docmill.
func (s *Service) environment() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ", "TMPDIR", "GOCOVERDIR"} {
		if value, set := os.LookupEnv(name); set {
			env = append(env, name+"="+value)
		}
	}
	env = append(env, s.env...)
	env = append(env, "DOCMILL_ADMIN_ADDRESS="+strings.TrimPrefix(s.AdminURL, "http://"))
	if s.URL != "" {
		env = append(env, "DOCMILL_ADDRESS="+strings.TrimPrefix(s.URL, "http://"))
	}
	return slices.Concat(env, s.options.Env[s.name])
}

// Ready asks the service whether it is ready, which includes that what it depends on answers.
func (s *Service) Ready(ctx context.Context) error { return Ready(ctx, s.name, s.AdminURL) }

// Ready asks the service with that admin port.
func Ready(ctx context.Context, name, adminURL string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, adminURL+"/readyz", http.NoBody)
	if err != nil {
		return fmt.Errorf("ask %s whether it is ready: %w", name, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask %s whether it is ready: %w", name, err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	const enough = 2 << 10
	reason, _ := io.ReadAll(io.LimitReader(response.Body, enough))
	return fmt.Errorf("%s says %s: %s", name, response.Status, strings.TrimSpace(string(reason)))
}
