package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/procfs"
	"go.uber.org/zap"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/bench"
	"github.com/docmill/docmill/devstack/simulation"
	"github.com/docmill/docmill/devstack/system"
)

type loadCommand struct {
	Documents []string      `arg:"" optional:"" type:"existingfile" help:"Documents to convert. Default: the testdata of the project."`
	Rate      float64       `default:"3" help:"Documents per second."`
	Duration  time.Duration `default:"2m" help:"How long documents are submitted."`
	Slots     int           `default:"2" help:"Concurrent conversions of the converter."`
	Starts    int           `default:"5" help:"How often to measure the start of the converter."`
	Seed      uint64        `default:"1" help:"Selects the times and the order of the documents."`
	Output    string        `placeholder:"DIR" type:"path" help:"Writes conversions.csv, starts.csv, overheads.csv and recording.json to this directory."`
}

func (c *loadCommand) Run(ctx context.Context, log *zap.Logger) (err error) {
	project, err := projectDir()
	if err != nil {
		return err
	}
	if len(c.Documents) == 0 {
		if c.Documents, err = filepath.Glob(filepath.Join(project, "testdata", "*.*")); err != nil {
			return err
		}
	}
	field, err := newField(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, field.stop(context.WithoutCancel(ctx))) }()
	started, err := field.startServices(ctx, "load", system.Options{
		Release: system.Release{Binaries: filepath.Join(project, "bin")},
		Env:     map[string][]string{system.Converter: {fmt.Sprintf("DOCMILL_SLOTS=%d", c.Slots)}},
	})
	if err != nil {
		return fmt.Errorf("start services: %w", err)
	}
	loaded, err := bench.Load(ctx, bench.LoadOptions{
		Client: newClient(started.URL()), Documents: c.Documents, Rate: c.Rate, Duration: c.Duration, Seed: c.Seed,
		Processor: func(ctx context.Context) (float64, error) { return processorTime(ctx, started.Converter) },
	})
	if err != nil {
		return err
	}
	starts, err := c.starts(ctx, started, filepath.Join(project, letter))
	if err != nil {
		return err
	}
	if err := compare(os.Stdout, loaded.Recorded, c.Slots); err != nil {
		return err
	}
	return c.write(loaded, starts)
}

// processorTime returns the processor time of a converter's conversions, in seconds.
func processorTime(ctx context.Context, converter *system.Service) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, converter.AdminURL+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("read the metrics of the converter: %w", err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return 0, fmt.Errorf("read the metrics of the converter: %w", err)
	}
	const name = "docmill_engine_cpu_seconds_total"
	metrics := families[name].GetMetric()
	if len(metrics) != 1 {
		return 0, fmt.Errorf("the converter has no metric %s", name)
	}
	return metrics[0].GetCounter().GetValue(), nil
}

// starts measures the times from the start of the converter's process until its first conversion begins.
func (c *loadCommand) starts(ctx context.Context, on *system.System, document string) ([]float64, error) {
	to := newClient(on.URL())
	var times []float64
	for range c.Starts {
		if err := on.Converter.Stop(ctx); err != nil {
			return nil, err
		}
		job, err := to.SubmitFile(ctx, document)
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := on.Converter.Start(ctx); err != nil {
			return nil, err
		}
		if job, err = to.Wait(ctx, job); err != nil {
			return nil, err
		}
		times = append(times, firstConversion(job, begin))
	}
	return times, nil
}

func firstConversion(job client.Job, begin time.Time) float64 {
	return job.StartedAt.Sub(begin).Seconds()
}

// write writes the files, if a directory for them is given.
func (c *loadCommand) write(loaded bench.Loaded, starts []float64) error {
	if c.Output == "" {
		return nil
	}
	recording, err := json.Marshal(loaded.Recorded)
	if err != nil {
		return err
	}
	origin, err := origin()
	if err != nil {
		return err
	}
	conversions := bytes.NewBufferString(origin + "document,attempt,seconds\n") // package simulation reads the column seconds
	for _, name := range slices.Sorted(maps.Keys(loaded.Alone)) {
		fmt.Fprintf(conversions, "%s,%.3f,%.3f\n", name, loaded.Alone[name].Attempt, loaded.Alone[name].Processor)
	}
	for name, content := range map[string][]byte{
		"recording.json": recording, "conversions.csv": conversions.Bytes(),
		"starts.csv": column(origin, starts), "overheads.csv": column(origin, loaded.Overheads),
	} {
		const public = 0o644
		if err := os.WriteFile(filepath.Join(c.Output, name), content, public); err != nil {
			return err
		}
	}
	return nil
}

// origin returns a comment that says where and when the samples were measured.
func origin() (string, error) {
	system, err := procfs.NewDefaultFS()
	if err != nil {
		return "", err
	}
	load, err := system.LoadAvg()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("# Measured with devstack load on %s: %d processors, load average %.1f.\n",
		time.Now().Format(time.DateOnly), runtime.NumCPU(), load.Load5), nil
}

// column returns a CSV file with one column.
func column(origin string, of simulation.Sample) []byte {
	file := bytes.NewBufferString(origin + "seconds\n")
	for _, value := range of {
		fmt.Fprintf(file, "%.3f\n", value)
	}
	return file.Bytes()
}
