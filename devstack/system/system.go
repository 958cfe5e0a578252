// Package system runs the three Docmill services as child processes.
package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/devstack/daemon"
	"github.com/docmill/docmill/devstack/servers"
)

// Options of [Start]. Space, Binaries and LogDir are required.
type Options struct {
	// Space is what the services use on the servers; it exists.
	Space servers.Space
	// Binaries is the folder with docmill-gateway, docmill-converter and docmill-status; see [Build].
	Binaries string
	// LogDir receives one log file for each service.
	LogDir string
	// GatewayPort is the gateway's public port on 127.0.0.1; 0, or one that is taken, means a free one.
	GatewayPort int
	// Env has further settings for a service, by its name.
	Env map[string][]string
}

// System is a running Docmill. Its methods may be called from any goroutine.
type System struct {
	Gateway   *Service
	Converter *Service
	Status    *Service
}

// Start starts the three services and returns when all of them are ready. They end with [System.Stop] or with this
// process; ctx bounds the start only.
func Start(ctx context.Context, options Options) (*System, error) {
	space := options.Space
	s := &System{
		Status:    newService(Status, options, slices.Concat(space.BrokerEnv(), space.DatabaseEnv()), 0, 0),
		Converter: newService(Converter, options, slices.Concat(space.BrokerEnv(), space.StoreEnv(), space.SealEnv()), 0),
		Gateway:   newService(Gateway, options, slices.Concat(space.BrokerEnv(), space.StoreEnv(), space.SealEnv()), 0, options.GatewayPort),
	}
	group, groupContext := errgroup.WithContext(ctx)
	group.Go(func() error { return s.Status.startAnywhere(groupContext) })
	group.Go(func() error { return s.Converter.startAnywhere(groupContext) })
	err := group.Wait()
	if err == nil {
		s.Gateway.env = append(s.Gateway.env, "DOCMILL_STATUS_URL="+s.Status.URL)
		err = s.Gateway.startAnywhere(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// URL is the public address of this Docmill.
func (s *System) URL() string { return s.Gateway.URL }

// Services returns the services in the order of their start.
func (s *System) Services() []*Service { return []*Service{s.Status, s.Converter, s.Gateway} }

// Daemons are the services as what can be started and stopped.
func (s *System) Daemons() []*daemon.Daemon {
	return []*daemon.Daemon{s.Status.Daemon, s.Converter.Daemon, s.Gateway.Daemon}
}

// Stop lets the services finish what they have in hand, at most 40 s, and returns when they are gone.
func (s *System) Stop(ctx context.Context) error {
	var failures [3]error
	var stopping sync.WaitGroup
	for i, one := range s.Daemons() {
		stopping.Go(func() { failures[i] = one.Stop(ctx) })
	}
	stopping.Wait()
	return errors.Join(failures[:]...)
}

func (s *Service) startAnywhere(ctx context.Context) error {
	return s.StartAnywhere(ctx, s.ports, s.settle)
}

// mainPackage returns the package of a service's program, relative to the service.
func mainPackage(project, name string) string {
	command := "cmd/docmill-" + name
	if _, err := os.Stat(filepath.Join(project, "services", name, command)); err == nil {
		return "./" + command
	}
	return "."
}

// Build builds the services of the project in that folder into the folder binaries. It takes a second when nothing has
// changed.
func Build(ctx context.Context, project, binaries string) error {
	for _, name := range Names() {
		target, err := filepath.Abs(filepath.Join(binaries, "docmill-"+name))
		if err != nil {
			return fmt.Errorf("finding the folder for %s: %w", name, err)
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-o", target, mainPackage(project, name))
		cmd.Dir = filepath.Join(project, "services", name)
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w:\n%s", name, err, output)
		}
	}
	return nil
}
