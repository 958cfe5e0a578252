package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/docmill/docmill/devstack/install"
	"github.com/docmill/docmill/devstack/supervisor"
	"github.com/docmill/docmill/devstack/system"
)

type upCommand struct {
	Port     int    `env:"PORT"        default:"8080" help:"Public port of the gateway on 127.0.0.1; when it is taken, a free one is used."`
	Binaries string `placeholder:"DIR" type:"path"    help:"Folder with docmill-gateway, docmill-converter and docmill-status. Default: beside this program, or else they are built."`
}

func (c *upCommand) Run(ctx context.Context, log *zap.Logger) error {
	dir, err := stackFolder()
	if err != nil {
		return err
	}
	if _, err := install.Ensure(ctx, log, install.All()...); err != nil {
		return err
	}
	binaries, err := c.services(ctx, dir)
	if err != nil {
		return err
	}
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	state, started, err := supervisor.Launch(ctx, dir, []string{
		own, "supervise", "--dir", dir, "--binaries", binaries, "--port", strconv.Itoa(c.Port),
	})
	if err != nil {
		return fmt.Errorf("starting Docmill (logs are in %s and %s): %w", supervisor.LogDir(dir), supervisor.ServersLogDir(dir), err)
	}
	c.say(state, started, binaries)
	return nil
}

// services is the folder with the services' binaries.
func (c *upCommand) services(ctx context.Context, dir string) (string, error) {
	if c.Binaries != "" {
		return c.Binaries, nil
	}
	if beside, built := builtServices(); built {
		return beside, nil
	}
	project, err := projectFolder()
	if err != nil {
		return "", err
	}
	binaries := filepath.Join(dir, "bin")
	return binaries, system.Build(ctx, project, binaries)
}

func (c *upCommand) say(state supervisor.State, started bool, binaries string) {
	if started {
		fmt.Println("Docmill is at", state.URL)
		if !strings.HasSuffix(state.URL, ":"+strconv.Itoa(c.Port)) {
			fmt.Printf("(port %d was taken)\n", c.Port)
		}
		return
	}
	fmt.Println("Docmill is already running at", state.URL)
	if build, err := supervisor.BuildID(binaries); err == nil && build != state.Build {
		fmt.Println("(the services have been rebuilt since; `make down up` runs the new ones)")
	}
}

type superviseCommand struct {
	Dir      string `required:"" help:"Folder of the stack."`
	Binaries string `required:"" help:"Folder with the services' binaries."`
	Port     int    `required:"" help:"Wanted public port of the gateway."`
}

func (c *superviseCommand) Run(ctx context.Context) error {
	config := zap.NewDevelopmentConfig()
	config.Level.SetLevel(zap.InfoLevel)
	config.DisableStacktrace, config.DisableCaller = true, true
	log, err := config.Build()
	if err != nil {
		return fmt.Errorf("making a log: %w", err)
	}
	return supervisor.Run(ctx, supervisor.Options{Dir: c.Dir, Binaries: c.Binaries, GatewayPort: c.Port, Log: log})
}
