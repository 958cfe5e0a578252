package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/docmill/docmill/devstack/install"
	"github.com/docmill/docmill/devstack/servers"
	"github.com/docmill/docmill/devstack/supervisor"
	"github.com/docmill/docmill/devstack/system"
)

// The names of the stacks.
const (
	embedded = "embedded"
	devstack = "devstack"
)

// stack is one way to run Docmill in the background.
type stack struct {
	name string
	// needs are its dependencies.
	needs    []install.Need
	programs []system.Program
	start    func(ctx context.Context, s superviseCommand, log *zap.Logger) (supervisor.Stack, error)
}

func stackByName(name string) stack {
	if name == embedded {
		return stack{name, install.Converter(), []system.Program{system.Single()}, startEmbedded}
	}
	return stack{name, install.Services(), system.Services(), startServices}
}

// startEmbedded starts the single-process edition.
func startEmbedded(ctx context.Context, s superviseCommand, _ *zap.Logger) (supervisor.Stack, error) {
	docmill, err := system.StartEmbedded(ctx, system.Options{
		Data: filepath.Join(s.Dir, "data"), Release: system.Release{Binaries: s.Binaries}, LogDir: supervisor.LogDir(s.Dir), GatewayPort: s.Port,
	})
	if err != nil {
		return supervisor.Stack{}, fmt.Errorf("start docmill serve: %w", err)
	}
	return running(docmill), nil
}

// spaceName is the name of the stack's vhost, database and buckets.
const spaceName = "docmill"

// startServices starts RabbitMQ, PostgreSQL and MinIO, then the three services.
func startServices(ctx context.Context, s superviseCommand, log *zap.Logger) (_ supervisor.Stack, err error) {
	private, err := servers.Start(ctx, servers.Options{Dir: filepath.Join(s.Dir, "servers"), Durable: true, Log: log})
	if err != nil {
		return supervisor.Stack{}, fmt.Errorf("start the servers: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, private.Stop(context.WithoutCancel(ctx)))
		}
	}()
	space := private.Space(spaceName)
	if err := space.Create(ctx); err != nil {
		return supervisor.Stack{}, fmt.Errorf("create the vhost, database and buckets: %w", err)
	}
	docmill, err := system.Start(ctx, system.Options{
		Space: space, Release: system.Release{Binaries: s.Binaries}, LogDir: supervisor.LogDir(s.Dir), GatewayPort: s.Port,
	})
	if err != nil {
		return supervisor.Stack{}, fmt.Errorf("start the services: %w", err)
	}
	started := running(docmill)
	started.Daemons = append(private.Daemons(), started.Daemons...)
	started.Stop = func(ctx context.Context) error { return errors.Join(docmill.Stop(ctx), private.Stop(ctx)) }
	return started, nil
}

// running returns the stack of a running Docmill.
func running(docmill *system.System) supervisor.Stack {
	started := supervisor.Stack{URL: docmill.URL(), Daemons: docmill.Daemons(), Stop: docmill.Stop}
	for _, one := range docmill.Services() {
		started.Services = append(started.Services, supervisor.Service{Name: one.Name(), AdminURL: one.AdminURL})
	}
	return started
}
