// Package bench measures the whole of Docmill over HTTP, in one run with what it is compared to: what the object store and
// the HTTP edge can do alone, and what LibreOffice takes for the same documents without Docmill. Only the ratios travel
// from one machine to another.
package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/devstack/client"
)

// Options of [Run].
type Options struct {
	// Whole is a Docmill, complete.
	Whole *client.Client
	// Edge is another one, whose converter does not run: submissions and polls are measured without conversions beside
	// them, which would take all processors.
	Edge *client.Client
	// PutObject stores bytes in the object store itself: the floor of a submission.
	PutObject func(ctx context.Context, key string, content []byte) error
	// Soffice is LibreOffice's program.
	Soffice string
	// Document is a small document, whose conversion is timed.
	Document string
	// Output is for a person to read.
	Output io.Writer
}

// How much is measured: enough for a steady median, short enough to be run often.
const (
	clients     = 8
	submissions = 400
	polls       = 8000
	latencies   = 20
	batch       = 24
)

// Run measures and prints a table. It takes about two minutes.
func Run(ctx context.Context, o Options) error {
	content, err := os.ReadFile(o.Document)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(o.Output, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%s, %d bytes; %d clients\n\n", filepath.Base(o.Document), len(content), clients)
	for _, measure := range []func(context.Context, *tabwriter.Writer, []byte) error{o.edge, o.latency, o.throughput} {
		if err := measure(ctx, table, content); err != nil {
			return err
		}
	}
	return table.Flush()
}

// edge measures submissions and polls.
func (o Options) edge(ctx context.Context, table *tabwriter.Writer, content []byte) error {
	puts, err := rate(ctx, submissions, func(i int) error {
		return o.PutObject(ctx, fmt.Sprintf("bench-%d", i), content)
	})
	if err != nil {
		return fmt.Errorf("put objects: %w", err)
	}
	jobs := make([]client.Job, submissions)
	submitted, err := rate(ctx, submissions, func(i int) (err error) {
		jobs[i], err = o.Edge.SubmitBytes(ctx, filepath.Base(o.Document), content)
		return err
	})
	if err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	formats, err := rate(ctx, polls, func(int) error { return o.Edge.Formats(ctx) })
	if err != nil {
		return fmt.Errorf("ask for formats: %w", err)
	}
	polled, err := rate(ctx, polls, func(i int) error {
		_, err := o.Edge.Poll(ctx, jobs[i%len(jobs)].ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	fmt.Fprintf(table, "submissions\t%.0f/s\t%.2f of bare object puts\t(%.0f/s)\n", submitted, submitted/puts, puts)
	fmt.Fprintf(table, "polls\t%.0f/s\t%.2f of GET /v1/formats, which asks nobody\t(%.0f/s)\n", polled, polled/formats, formats)
	return nil
}

// latency measures one document at a time, from the first byte of the request to the finished job.
func (o Options) latency(ctx context.Context, table *tabwriter.Writer, content []byte) error {
	through := make([]time.Duration, latencies)
	alone := make([]time.Duration, latencies)
	for i := range through { // in turn, so that both see the same machine
		var err error
		if through[i], err = timed(func() error { return o.convert(ctx, content) }); err != nil {
			return fmt.Errorf("convert through Docmill: %w", err)
		}
		if alone[i], err = timed(func() error { return o.soffice(ctx, 1) }); err != nil {
			return err
		}
	}
	for _, p := range []int{50, 95} {
		a, b := percentile(through, p), percentile(alone, p)
		fmt.Fprintf(table, "end to end, p%d\t%.0f ms\t%.2f of soffice --convert-to\t(%.0f ms)\n",
			p, a.Seconds()*1e3, a.Seconds()/b.Seconds(), b.Seconds()*1e3)
	}
	return nil
}

// throughput measures a batch that is submitted at once.
func (o Options) throughput(ctx context.Context, table *tabwriter.Writer, content []byte) error {
	through, err := timed(func() error {
		group, ctx := errgroup.WithContext(ctx)
		for range batch {
			group.Go(func() error { return o.convert(ctx, content) })
		}
		return group.Wait()
	})
	if err != nil {
		return fmt.Errorf("convert a batch through Docmill: %w", err)
	}
	alone, err := timed(func() error { return o.soffice(ctx, batch) })
	if err != nil {
		return err
	}
	a, b := batch/through.Seconds(), batch/alone.Seconds()
	fmt.Fprintf(table, "throughput\t%.2f/s\t%.2f of soffice --convert-to, one after another\t(%.2f/s)\n", a, a/b, b)
	return nil
}

func (o Options) convert(ctx context.Context, content []byte) error {
	job, err := o.Whole.SubmitBytes(ctx, filepath.Base(o.Document), content)
	if err != nil {
		return err
	}
	job, err = o.Whole.Await(ctx, job)
	if err != nil {
		return err
	}
	return job.Failure()
}

// soffice converts the document n times, with a process each, as a script would. All share one profile that exists
// already: a fresh one for each would be slower still.
func (o Options) soffice(ctx context.Context, n int) error {
	dir, err := os.MkdirTemp("", "docmill-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	profile := filepath.Join(os.TempDir(), fmt.Sprintf("docmill-bench-profile-%d", os.Getpid()))
	for range n {
		command := exec.CommandContext(ctx, o.Soffice, "-env:UserInstallation=file://"+profile,
			"--headless", "--convert-to", "pdf", "--outdir", dir, o.Document)
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("run soffice: %w: %s", err, output)
		}
	}
	made, err := os.ReadDir(dir)
	if err == nil && len(made) == 0 {
		err = fmt.Errorf("soffice made nothing of %s", o.Document)
	}
	return err
}

// rate does something n times, from several goroutines at once, and gives how often a second.
func rate(ctx context.Context, n int, do func(i int) error) (float64, error) {
	var next atomic.Int64
	took, err := timed(func() error {
		group, ctx := errgroup.WithContext(ctx)
		for range clients {
			group.Go(func() error {
				for i := next.Add(1) - 1; i < int64(n) && ctx.Err() == nil; i = next.Add(1) - 1 {
					if err := do(int(i)); err != nil {
						return err
					}
				}
				return ctx.Err()
			})
		}
		return group.Wait()
	})
	return float64(n) / took.Seconds(), err
}

func timed(do func() error) (time.Duration, error) {
	begin := time.Now()
	err := do()
	return time.Since(begin), err
}

// percentile gives the p-th percentile by the nearest rank.
func percentile(of []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	rank := (p*len(sorted) + 99) / 100
	return sorted[max(rank, 1)-1]
}
