package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/devstack/chaos"
	"github.com/docmill/docmill/devstack/install"
)

type chaosCommand struct {
	Seed    uint64 `help:"Seed that selects the order of the faults. Default: a random one."`
	Minutes int    `default:"10" help:"How long faults are injected."`
}

func (c *chaosCommand) Run(ctx context.Context, log *zap.Logger) error {
	project, err := projectDir()
	if err != nil {
		return err
	}
	if _, err := install.Ensure(ctx, log, install.Services()...); err != nil {
		return err
	}
	for c.Seed == 0 {
		c.Seed = rand.Uint64N(1 << 32) //nolint:gosec // not a secret
	}
	dir, err := chaos.MakeDir()
	if err != nil {
		return fmt.Errorf("create a directory for logs: %w", err)
	}
	fmt.Printf("seed %d; logs of the services in %s\n", c.Seed, dir)
	err = chaos.Run(ctx, chaos.Options{
		Seed: c.Seed, Duration: time.Duration(c.Minutes) * time.Minute, Project: project, Binaries: filepath.Join(project, "bin"), Dir: dir,
		Output: os.Stdout, Log: log,
	})
	if err == nil {
		err = os.RemoveAll(dir)
	}
	return errors.Join(err)
}
