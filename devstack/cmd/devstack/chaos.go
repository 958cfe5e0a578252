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
	"github.com/docmill/docmill/devstack/release"
	"github.com/docmill/docmill/devstack/system"
)

type chaosCommand struct {
	Seed     []uint64      `placeholder:"SEED,..." help:"Seeds that select the order of the faults. There is one run for each. Default: a random seed."`
	Binaries string        `placeholder:"DIR" type:"path" help:"Directory of Docmill's programs. Default: bin of the project."`
	Edition  string        `enum:"both,services,single" default:"both" help:"Edition to test: services, single (the single process), or both (the default)."`
	Faults   string        `placeholder:"REGEXP" help:"Inject only faults whose name matches. With both editions, they are injected into the three services only."`
	Old      string        `name:"old-commit" placeholder:"COMMIT" help:"Commit of an earlier release, whose converter runs with new gateways."`
	Settle   time.Duration `default:"8m" help:"How long accepted jobs may take to end after the last fault."`
	Minutes  int           `default:"0" help:"How long faults are injected in each run, in minutes; 0 means that each is injected once."`
}

func (c *chaosCommand) Run(ctx context.Context, log *zap.Logger) error {
	project, err := projectDir()
	if err != nil {
		return err
	}
	if _, err := install.Ensure(ctx, log, install.Services()...); err != nil {
		return err
	}
	if len(c.Seed) == 0 {
		c.Seed = []uint64{rand.Uint64N(1 << 32)} //nolint:gosec // not a secret
	}
	options := chaos.Options{
		Settle: c.Settle, Duration: time.Duration(c.Minutes) * time.Minute, Project: project, Binaries: cmp.Or(c.Binaries, filepath.Join(project, "bin")),
		Output: os.Stdout, Log: log,
	}
	if options.Earlier, err = release.Build(ctx, project, cmp.Or(c.Old, release.Baseline), system.Services()...); err != nil {
		if c.Old != "" || !errors.Is(err, release.ErrNoHistory) {
			return err
		}
		log.Warn("the programs of an earlier release cannot be built: skipping the fault with an old converter", zap.Error(err))
	}
	if c.Faults != "" {
		if options.Faults, err = regexp.Compile(c.Faults); err != nil {
			return fmt.Errorf("the setting faults: %w", err)
		}
	}
	var services, single chaos.Report
	var failures error
	for _, seed := range c.Seed {
		options.Seed = seed
		failures = errors.Join(failures, c.runBoth(ctx, options, &services, &single))
		if ctx.Err() != nil {
			return failures
		}
	}
	if len(c.Seed) > 1 && c.services() {
		fmt.Print("\nAll seeds, the three services\n")
		services.Print(os.Stdout)
	}
	if len(c.Seed) > 1 && c.single() {
		fmt.Print("\nAll seeds, the single process\n")
		single.Print(os.Stdout)
	}
	return failures
}

// services and single report whether to test an edition.
func (c *chaosCommand) services() bool { return c.Edition != "single" }

func (c *chaosCommand) single() bool {
	return c.Edition == "single" || c.Edition == "both" && c.Faults == "" // few faults have the same name in both
}

// runBoth runs the editions and adds their reports to the totals. The second one runs whatever the first one returned.
func (c *chaosCommand) runBoth(ctx context.Context, options chaos.Options, services, single *chaos.Report) (err error) {
	if c.services() {
		fmt.Printf("\nThe three services, seed %d\n", options.Seed)
		err = c.run(ctx, options, services)
	}
	if !c.single() || ctx.Err() != nil {
		return err
	}
	options.Single = true
	if c.services() {
		const share = 5 // few faults apply to a single process
		options.Duration /= share
	}
	fmt.Printf("\nThe single process, seed %d\n", options.Seed)
	return errors.Join(err, c.run(ctx, options, single))
}

// run runs one edition with a new directory for logs, which is kept after a failure. It prints the report and adds it to
// the total.
func (c *chaosCommand) run(ctx context.Context, options chaos.Options, to *chaos.Report) error {
	var err error
	if options.Dir, err = chaos.MakeDir(); err != nil {
		return fmt.Errorf("create a directory for logs: %w", err)
	}
	report, err := chaos.Run(ctx, options)
	if report != nil {
		report.Print(os.Stdout)
		to.Add(report)
	}
	if err != nil {
		err = fmt.Errorf("%w (logs: %s)", err, options.Dir)
		fmt.Println(err)
		return err
	}
	return os.RemoveAll(options.Dir)
}
