package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/alecthomas/kong"

	"github.com/docmill/docmill/devstack/autoscaler"
	"github.com/docmill/docmill/devstack/simulation"
	"github.com/docmill/docmill/devstack/sizing"
)

// Files in the project directory.
const (
	scaledObject = "k8s/components/keda/scaledobject.yaml"
	measurements = "devstack/simulation/testdata"
	conversions  = measurements + "/conversions.csv"
	starts       = measurements + "/starts.csv"
	overheads    = measurements + "/overheads.csv"
	resources    = measurements + "/resources.json"
)

type simulateCommand struct {
	Rate     []float64            `default:"10,100,1000,10000" help:"Documents per second; several are simulated one after another."`
	Pattern  []simulation.Pattern `default:"steady,diurnal,burst" help:"steady; diurnal, a day that is compressed into the duration; or burst, five times the rate for a sixth of the duration."`
	Duration time.Duration        `default:"2h" help:"Simulated time."`

	Conversions string `placeholder:"FILE" type:"existingfile" help:"CSV with the column seconds: times of conversions. Default: ${conversions}."`
	Starts      string `placeholder:"FILE" type:"existingfile" help:"CSV with the column seconds: times from the decision to add a converter until it takes commands. Default: ${starts}."`
	Overheads   string `placeholder:"FILE" type:"existingfile" help:"CSV with the column seconds: times of upload and notification. Default: ${overheads}."`
	Resources   string `placeholder:"FILE" type:"existingfile" help:"JSON with what a document costs elsewhere. Default: ${resources}."`

	ScaledObject       string        `name:"scaled-object" placeholder:"FILE" type:"existingfile" help:"The autoscaler's settings. Default: ${scaledobject}."`
	Slots              int           `default:"2" help:"Concurrent conversions of a converter."`
	Turnaround         time.Duration `default:"30ms" help:"How long a slot is occupied after a conversion."`
	DrainTimeout       time.Duration `name:"drain-timeout" default:"150s" help:"How long a removed converter finishes its conversions."`
	MaxReplicas        int           `name:"max-replicas" placeholder:"N" help:"Greatest number of converters. Default: what the highest rate needs."`
	StatisticsInterval time.Duration `name:"statistics-interval" default:"5s" help:"How often RabbitMQ updates the number of unacknowledged messages: collect_statistics_interval."`
	Seed               uint64        `default:"1" help:"Selects the random numbers."`

	Replay string `placeholder:"FILE" type:"existingfile" help:"Simulate the documents that 'devstack load' has recorded, with one converter, and compare."`
}

// simulationFiles defines the variables in the help texts.
func simulationFiles() kong.Vars {
	return kong.Vars{
		"conversions": conversions, "starts": starts, "overheads": overheads, "resources": resources, "scaledobject": scaledObject,
	}
}

func (c *simulateCommand) Run() error {
	if c.Replay != "" {
		return c.replay(os.Stdout)
	}
	project, err := projectDir()
	if err != nil {
		return err
	}
	base, err := c.base(project)
	if err != nil {
		return err
	}
	costs, err := readFile(c.Resources, project, resources, sizing.Read)
	if err != nil {
		return err
	}
	times, err := readFile(c.Conversions, project, conversions, simulation.ReadSample)
	if err != nil {
		return err
	}
	if err := base.Validate(); err != nil {
		return err
	}
	fmt.Printf("%d measured conversions: mean %s, p50 %s, p95 %s, p99 %s.\n\n", len(times),
		short(times.Mean()), short(times.Quantile(0.5)), short(times.Quantile(0.95)), short(times.Quantile(0.99)))
	c.simulate(base, times)
	writeSizes(os.Stdout, c.Rate, costs)
	return nil
}

// base returns the settings that all simulations have in common.
func (c *simulateCommand) base(project string) (simulation.Config, error) {
	settings, err := readFile(c.ScaledObject, project, scaledObject, autoscaler.Read)
	if err != nil {
		return simulation.Config{}, err
	}
	starts, startsErr := readFile(c.Starts, project, starts, simulation.ReadSample)
	overheads, overheadsErr := readFile(c.Overheads, project, overheads, simulation.ReadSample)
	return simulation.Config{
		Duration: c.Duration, Starts: starts, Overheads: overheads, Slots: c.Slots, Turnaround: c.Turnaround, DrainTimeout: c.DrainTimeout,
		Autoscaler: &settings, StatisticsInterval: c.StatisticsInterval, Seed: c.Seed,
	}, errors.Join(startsErr, overheadsErr)
}

// config returns the settings for a load. There are as many converters as the load at the start needs, so that the percentiles
// are not those of the start.
func (c *simulateCommand) config(base simulation.Config, load simulation.Random) simulation.Config {
	needed := func(times float64) int {
		return int(math.Ceil(times * load.Rate * load.Conversions.Mean() / base.Autoscaler.Target))
	}
	settings := *base.Autoscaler
	settings.MaxReplicas = cmp.Or(c.MaxReplicas, needed(load.Pattern.Peak()))
	base.Load, base.Autoscaler, base.Replicas = load, &settings, min(needed(load.Pattern.At(0)), settings.MaxReplicas)
	return base
}

// simulate prints a table with a row for each rate and pattern.
func (c *simulateCommand) simulate(base simulation.Config, times simulation.Sample) {
	fmt.Println("| documents/s | load | converters, average | most | slots busy | time to result p50 | p95 | p99 | longest queue | repeated |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|")
	for _, rate := range c.Rate {
		for _, pattern := range c.Pattern {
			r := simulation.Run(c.config(base, simulation.Random{Pattern: pattern, Rate: rate, Conversions: times}))
			fmt.Printf("| %g | %s | %.0f | %d | %.0f%% | %s | %s | %s | %d | %d |\n", rate, pattern, math.Ceil(r.Replicas), r.MostReplicas,
				100*r.Utilization, short(r.TimeToResult(50).Seconds()), short(r.TimeToResult(95).Seconds()),
				short(r.TimeToResult(99).Seconds()), r.LongestQueue, r.Repeated)
		}
	}
}

// writeSizes prints what the rates need besides converters.
func writeSizes(to io.Writer, rates []float64, costs []sizing.Resource) {
	fmt.Fprintf(to, "\n| needed | one is enough for |")
	for _, rate := range rates {
		fmt.Fprintf(to, " %g documents/s |", rate)
	}
	fmt.Fprint(to, "\n|---|---|")
	for range rates {
		fmt.Fprint(to, "---|")
	}
	fmt.Fprintln(to)
	for _, r := range costs {
		fmt.Fprintf(to, "| %s: %s | %.0f documents/s |", r.Name, r.Unit, r.Limit())
		for _, rate := range rates {
			fmt.Fprintf(to, " %d |", r.Units(rate))
		}
		fmt.Fprintln(to)
	}
	if first, found := sizing.FirstLimit(costs); found {
		fmt.Fprintf(to, "\nThe first limit of one installation is %s, at %.0f documents/s. %s\n", first.Name, first.Limit(), first.Remedy)
	}
}

// replay compares a recording with a simulation of the same documents.
func (c *simulateCommand) replay(to io.Writer) error {
	file, err := os.Open(c.Replay)
	if err != nil {
		return err
	}
	defer file.Close()
	var recorded simulation.Recorded
	if err := json.NewDecoder(file).Decode(&recorded); err != nil {
		return fmt.Errorf("read %s: %w", c.Replay, err)
	}
	return compare(to, recorded, c.Slots)
}

// compare prints measured figures beside those of a simulation of the same documents with one converter.
func compare(to io.Writer, recorded simulation.Recorded, slots int) error {
	if err := recorded.Check(); err != nil {
		return err
	}
	simulated := simulation.Run(simulation.Config{
		Load: recorded, Slots: slots, Replicas: 1, Turnaround: recorded.Turnaround(),
	})
	var waits simulation.Sample
	var busy, end float64
	for _, one := range recorded {
		waits = append(waits, one.Wait)
		busy += one.Conversion
		end = max(end, one.Arrival+one.Wait+one.Conversion)
	}
	fmt.Fprintf(to, "%d documents in %s; slots busy %.0f%%.\n\n", len(recorded), short(end), 100*busy/end/float64(slots))
	fmt.Fprintln(to, "| | measured | simulated |\n|---|---|---|")
	fmt.Fprintf(to, "| documents/s | %.2f | %.2f |\n", float64(len(recorded))/end, float64(len(recorded))/simulated.Elapsed.Seconds())
	for _, percentile := range []float64{50, 95, 99} {
		fmt.Fprintf(to, "| wait p%g | %s | %s |\n", percentile, short(waits.Quantile(percentile/100)), short(simulated.Wait(percentile).Seconds()))
	}
	return nil
}

// readFile reads a file, or the project's if its name is empty.
func readFile[T any](name, project, fallback string, read func(io.Reader) (T, error)) (T, error) {
	var none T
	if name == "" {
		name = filepath.Join(project, fallback)
	}
	file, err := os.Open(name)
	if err != nil {
		return none, err
	}
	defer file.Close()
	content, err := read(file)
	if err != nil {
		return none, fmt.Errorf("%s: %w", name, err)
	}
	return content, nil
}

// short formats seconds with two or three digits.
func short(seconds float64) string {
	switch {
	case seconds < 10:
		return fmt.Sprintf("%.2f s", seconds)
	case seconds < 120:
		return fmt.Sprintf("%.0f s", seconds)
	default:
		return fmt.Sprintf("%.1f min", seconds/60)
	}
}
