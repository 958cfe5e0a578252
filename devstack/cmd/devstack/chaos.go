package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/devstack/chaos"
	"github.com/docmill/docmill/devstack/install"
)

type chaosCommand struct {
	Seed     uint64        `help:"Seed that selects the order of the faults. Default: a random one."`
	Binaries string        `placeholder:"DIR" type:"path" help:"Directory of Docmill's programs. Default: bin of the project."`
	Faults   string        `placeholder:"REGEXP" help:"Inject only faults whose name matches, into the three services only."`
	Settle   time.Duration `default:"8m" help:"How long accepted jobs may take to end after the last fault."`
	Minutes  int           `default:"10" help:"How long faults are injected."`
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
	options := chaos.Options{
		Seed: c.Seed, Settle: c.Settle, Duration: time.Duration(c.Minutes) * time.Minute, Project: project, Binaries: cmp.Or(c.Binaries, filepath.Join(project, "bin")),
		Output: os.Stdout, Log: log,
	}
	if c.Faults != "" {
		if options.Faults, err = regexp.Compile(c.Faults); err != nil {
			return fmt.Errorf("the setting faults: %w", err)
		}
	}
	fmt.Printf("The three services, seed %d\n", c.Seed)
	err = c.run(ctx, options)
	if c.Faults != "" || ctx.Err() != nil || err != nil && !errors.Is(err, chaos.ErrViolated) {
		return err
	}
	// Few faults apply to a single process.
	const share = 5
	options.Single, options.Duration = true, options.Duration/share
	fmt.Printf("\nThe single process, seed %d\n", c.Seed)
	return errors.Join(err, c.run(ctx, options))
}

// run runs with a new directory for logs, which is kept after a failure.
func (c *chaosCommand) run(ctx context.Context, options chaos.Options) error {
	var err error
	if options.Dir, err = chaos.MakeDir(); err != nil {
		return fmt.Errorf("create a directory for logs: %w", err)
	}
	if err := chaos.Run(ctx, options); err != nil {
		return fmt.Errorf("%w (logs: %s)", err, options.Dir)
	}
	return os.RemoveAll(options.Dir)
}
