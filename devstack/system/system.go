// Package system runs either edition of Docmill as child processes: three services on real servers, or everything in
// one process.
package system

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/devstack/daemon"
	"github.com/docmill/docmill/devstack/servers"
)

// Options are the parameters of [Start] and [StartEmbedded]. Release and LogDir are required.
type Options struct {
	Release

	// Space is what the three services use on the servers; it must exist. Required by [Start].
	Space servers.Space
	// Data is the data directory of the single-process edition. Required by [StartEmbedded].
	Data string
	// LogDir receives one log file per service.
	LogDir string
	// GatewayPort is the public port on 127.0.0.1. If it is 0 or taken, a free one is used.
	GatewayPort int
	// Env has additional settings per service name.
	Env map[string][]string
}

// System is a running Docmill. It is safe for concurrent use.
type System struct {
	// Gateway, Converter and Status are the three services; in the single-process edition all of them are the same
	// process.
	Gateway   *Service
	Converter *Service
	Status    *Service
}

// StartEmbedded starts `docmill serve` and returns when it is ready. ctx limits the start only; the process runs until
// [System.Stop] or the end of this process.
func StartEmbedded(ctx context.Context, options Options) (*System, error) {
	one := newService(Embedded, options, settings(Embedded, options), 0, options.GatewayPort)
	if err := one.StartAnywhere(ctx); err != nil {
		return nil, err
	}
	return &System{Gateway: one, Converter: one, Status: one}, nil
}

// Start starts the three services and returns when all of them are ready. ctx limits the start only; the services run
// until [System.Stop] or the end of this process.
func Start(ctx context.Context, options Options) (*System, error) {
	s := &System{
		Status:    newService(Status, options, settings(Status, options), 0, 0),
		Converter: newService(Converter, options, settings(Converter, options), 0),
		Gateway:   newService(Gateway, options, settings(Gateway, options), 0, options.GatewayPort),
	}
	group, groupContext := errgroup.WithContext(ctx)
	group.Go(func() error { return s.Status.StartAnywhere(groupContext) })
	group.Go(func() error { return s.Converter.StartAnywhere(groupContext) })
	err := group.Wait()
	if err == nil {
		s.Gateway.env = append(s.Gateway.env, "DOCMILL_STATUS_URL="+s.Status.URL)
		err = s.Gateway.StartAnywhere(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// URL returns the public address.
func (s *System) URL() string { return s.Gateway.URL }

// Services returns the services in the order of their start.
func (s *System) Services() []*Service {
	if s.Gateway == s.Status {
		return []*Service{s.Gateway}
	}
	return []*Service{s.Status, s.Converter, s.Gateway}
}

// Daemons returns the services as daemons.
func (s *System) Daemons() []*daemon.Daemon {
	var daemons []*daemon.Daemon
	for _, one := range s.Services() {
		daemons = append(daemons, one.Daemon)
	}
	return daemons
}

// Stop lets the services finish their work in progress, for at most 40 s, and returns when they have ended.
func (s *System) Stop(ctx context.Context) error {
	daemons := s.Daemons()
	failures := make([]error, len(daemons))
	var stopping sync.WaitGroup
	for i, one := range daemons {
		stopping.Go(func() { failures[i] = one.Stop(ctx) })
	}
	stopping.Wait()
	return errors.Join(failures...)
}

// Build builds programs of the project into the directory binaries. It takes a second if nothing has changed.
func Build(ctx context.Context, project, binaries string, programs ...Program) error {
	for _, program := range programs {
		target, err := filepath.Abs(filepath.Join(binaries, program.Binary))
		if err != nil {
			return fmt.Errorf("resolve the path of %s: %w", program.Binary, err)
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-o", target, ".")
		cmd.Dir = filepath.Join(project, program.Package)
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w:\n%s", program.Binary, err, output)
		}
	}
	return nil
}
