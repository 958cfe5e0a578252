package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/devstack/install"
	"github.com/docmill/docmill/devstack/supervisor"
	"github.com/docmill/docmill/devstack/system"
)

type upCommand struct {
	Stack    string `enum:"embedded,devstack" default:"embedded" help:"What to start: embedded (everything in one process) or devstack (three services on RabbitMQ, PostgreSQL and MinIO)."`
	Port     int    `env:"PORT" default:"8080" help:"Public port on 127.0.0.1. If it is taken, a free one is used."`
	Binaries string `placeholder:"DIR" type:"path" help:"Directory of Docmill's programs. Default: build them."`
}

func (c *upCommand) Run(ctx context.Context, log *zap.Logger) error {
	chosen := stackByName(c.Stack)
	dir, err := stackDir()
	if err != nil {
		return err
	}
	if err := c.prepare(ctx, log, dir, chosen); err != nil {
		return err
	}
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	state, started, err := supervisor.Launch(ctx, dir, []string{
		own, "supervise", "--stack", chosen.name, "--dir", dir, "--binaries", c.Binaries, "--port", strconv.Itoa(c.Port),
	})
	if err != nil {
		return fmt.Errorf("start Docmill (logs: %s and %s): %w", supervisor.LogDir(dir), supervisor.ServersLogDir(dir), err)
	}
	return c.report(state, started, chosen)
}

// prepare installs the dependencies of the stack and builds its programs at the same time: installation mostly waits
// for the network and the disk, the build needs the processor.
func (c *upCommand) prepare(ctx context.Context, log *zap.Logger, dir string, chosen stack) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		_, err := install.Ensure(ctx, log, chosen.needs...)
		return err
	})
	if c.Binaries == "" {
		c.Binaries = filepath.Join(dir, "bin")
		group.Go(func() error {
			project, err := projectDir()
			if err != nil {
				return err
			}
			return system.Build(ctx, project, c.Binaries, chosen.programs...)
		})
	}
	return group.Wait()
}

func (c *upCommand) report(state supervisor.State, started bool, chosen stack) error {
	if started {
		fmt.Println("Docmill is at", state.URL)
		if !strings.HasSuffix(state.URL, ":"+strconv.Itoa(c.Port)) {
			fmt.Printf("(port %d was taken)\n", c.Port)
		}
		return nil
	}
	if state.Stack != chosen.name {
		return fmt.Errorf("the stack %s already runs at %s; stop it with `make down` first", state.Stack, state.URL)
	}
	fmt.Println("Docmill is already running at", state.URL)
	if build, err := supervisor.BuildID(c.Binaries, chosen.programs...); err == nil && build != state.Build {
		fmt.Println("(the programs have been rebuilt since; `make down up` runs the new ones)")
	}
	return nil
}

type superviseCommand struct {
	Stack    string `required:"" help:"Stack to run."`
	Dir      string `required:"" help:"Directory of the stack."`
	Binaries string `required:"" help:"Directory of Docmill's programs."`
	Port     int    `required:"" help:"Public port to use if it is free."`
}

func (c *superviseCommand) Run(ctx context.Context) error {
	config := zap.NewDevelopmentConfig()
	config.Level.SetLevel(zap.InfoLevel)
	config.DisableStacktrace, config.DisableCaller = true, true
	log, err := config.Build()
	if err != nil {
		return fmt.Errorf("create the log: %w", err)
	}
	chosen := stackByName(c.Stack)
	build, err := supervisor.BuildID(c.Binaries, chosen.programs...)
	if err != nil {
		return err
	}
	return supervisor.Run(ctx, supervisor.Options{
		Dir: c.Dir, Stack: chosen.name, Build: build, Log: log,
		Start: func(ctx context.Context) (supervisor.Stack, error) { return chosen.start(ctx, *c, log) },
	})
}
