package system

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
	// Embedded is all services in one process.
	Embedded = "docmill"
)

// Program is one of Docmill's programs.
type Program struct {
	// Service is the name of the service that it runs.
	Service string
	// Binary is the file name of its binary, and Package the directory of its main package in the project.
	Binary, Package string
	// Args are its arguments. Settings are passed in the environment.
	Args []string
}

// Services returns the programs of the three services in the order of their start.
func Services() []Program {
	return []Program{
		{Service: Status, Binary: "docmill-status", Package: "services/status/cmd/docmill-status"},
		{Service: Converter, Binary: "docmill-converter", Package: "services/converter/cmd/docmill-converter"},
		{Service: Gateway, Binary: "docmill-gateway", Package: "services/gateway/cmd/docmill-gateway"},
	}
}

// Single returns the program of the single-process edition.
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

// stopGrace is longer than the drain timeout of the services, 30 s, so that a drain is not interrupted.
const stopGrace = 40 * time.Second

// Service is a Docmill service as a child process. It can be stopped, killed and restarted on the same ports.
type Service struct {
	*daemon.Daemon
	// AdminURL is the base URL of /healthz, /readyz, /startupz and /metrics.
	AdminURL string
	// URL is the base URL of its API; empty for the converter, which only consumes messages.
	URL string

	name    string
	options Options
	env     []string
	ports   []int // the admin port, then that of the API
	// started returns nil when a start is complete.
	started func(ctx context.Context) error

	mutex   sync.Mutex
	changes []string // guarded by mutex
	release Release  // guarded by mutex
}

// newService returns a service that is not running. Ports of 0 are chosen at its first start.
func newService(name string, options Options, env []string, ports ...int) *Service {
	s := &Service{name: name, options: options, env: env, ports: ports, release: options.Release}
	s.Daemon, s.started = daemon.New(name, s.launch), s.Ready
	return s
}

// NewReplica returns one of several replicas of a service, which is not running. instance is its name in logs, and env
// has additional settings. Unlike the services of a [System], it has started when it answers, even if it is not ready: its
// dependencies may be away.
func NewReplica(service, instance string, options Options, env ...string) *Service {
	ports := []int{0}
	if service != Converter {
		ports = append(ports, 0)
	}
	s := newService(service, options, slices.Concat(settings(service, options), env), ports...)
	s.Daemon, s.started = daemon.New(instance, s.launch), s.Alive
	return s
}

// settings returns the settings of a service for what it stores its data in.
func settings(service string, options Options) []string {
	space := options.Space
	switch service {
	case Embedded:
		return []string{"DOCMILL_DATA=" + options.Data}
	case Status:
		return slices.Concat(space.BrokerEnv(), space.DatabaseEnv(), space.StoreEnv())
	default:
		return slices.Concat(space.BrokerEnv(), space.StoreEnv(), space.SealEnv())
	}
}

// Reconfigure sets additional settings, which replace those of its last call, from the next start on.
func (s *Service) Reconfigure(env ...string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.changes = env
}

// Switch makes the service use the programs of another release when it is started next.
func (s *Service) Switch(to Release) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.release = to
}

// StartAnywhere starts the service for the first time, on free ports.
func (s *Service) StartAnywhere(ctx context.Context) error {
	return s.Daemon.StartAnywhere(ctx, s.ports, s.settle)
}

// settle sets the URLs after the ports have been chosen.
func (s *Service) settle() {
	s.AdminURL = "http://" + port.Address(s.ports[0])
	if len(s.ports) > 1 {
		s.URL = "http://" + port.Address(s.ports[1])
	}
}

// launch starts the service and waits until its start is complete.
func (s *Service) launch(ctx context.Context) (*process.Process, error) {
	program := programOf(s.name)
	s.mutex.Lock()
	release := s.release
	s.mutex.Unlock()
	env, err := release.accepted(ctx, program, s.environment())
	if err != nil {
		return nil, err
	}
	started, err := process.Start(process.Spec{
		Name: s.Name(), Path: release.path(program), Args: program.Args, Env: env,
		LogFile: filepath.Join(s.options.LogDir, s.Name()+".log"), Grace: stopGrace,
	})
	if err != nil {
		return nil, err
	}
	if err := started.WaitReady(ctx, s.started); err != nil {
		started.Kill()
		return nil, err
	}
	return started, nil
}

// environment returns the settings of the service and the variables of this process that describe the machine. It omits
// settings in the environment of this process, because they belong to another Docmill.
func (s *Service) environment() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ", "TMPDIR", "GOCOVERDIR"} {
		if value, set := os.LookupEnv(name); set {
			env = append(env, name+"="+value)
		}
	}
	env = append(env, s.env...)
	if s.name == Gateway || s.name == Status { // no load balancer is in front of them, so their delay would only cost time
		env = append(env, "DOCMILL_DRAIN_DELAY=0s")
	}
	env = append(env, "DOCMILL_ADMIN_ADDRESS="+strings.TrimPrefix(s.AdminURL, "http://"))
	if s.URL != "" {
		env = append(env, "DOCMILL_ADDRESS="+strings.TrimPrefix(s.URL, "http://"))
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Concat(env, s.options.Env[s.name], s.changes)
}

// Ready returns nil if the service and its dependencies are ready.
func (s *Service) Ready(ctx context.Context) error { return Ready(ctx, s.name, s.AdminURL) }

// Alive returns nil if the service runs and answers.
func (s *Service) Alive(ctx context.Context) error { return s.ask(ctx, "/healthz") }

// Accepts returns nil if a load balancer may send requests to the service.
func (s *Service) Accepts(ctx context.Context) error { return s.ask(ctx, "/readyz") }

// ask returns nil if a path of the admin port answers with 200.
func (s *Service) ask(ctx context.Context, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.AdminURL+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("check %s: %w", s.Name(), err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("check %s: %w", s.Name(), err)
	}
	if response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s with %s", s.Name(), path, response.Status)
	}
	return errors.Join(err, response.Body.Close())
}

// Ready returns nil if the service with that admin URL is ready, and all of its dependencies work.
func Ready(ctx context.Context, name, adminURL string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, adminURL+"/readyz?verbose", http.NoBody)
	if err != nil {
		return fmt.Errorf("check the readiness of %s: %w", name, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("check the readiness of %s: %w", name, err)
	}
	defer response.Body.Close()
	var found struct {
		Ready  bool              `json:"ready"`
		Phase  string            `json:"phase"`
		Checks map[string]string `json:"checks"`
	}
	if err := json.NewDecoder(response.Body).Decode(&found); err != nil {
		return fmt.Errorf("check the readiness of %s (%s): %w", name, response.Status, err)
	}
	var broken []string
	if !found.Ready {
		broken = append(broken, "not ready "+found.Phase)
	}
	for dependency, state := range found.Checks {
		if state != "ok" {
			broken = append(broken, dependency+": "+state)
		}
	}
	if len(broken) == 0 {
		return nil
	}
	slices.Sort(broken)
	return fmt.Errorf("%s is not ready: %s", name, strings.Join(broken, "; "))
}
