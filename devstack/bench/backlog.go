package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/docmill/docmill/client"
)

// BacklogOptions are the parameters of [Backlog].
type BacklogOptions struct {
	// Client is the client of a complete system, whose converter is stopped.
	Client *client.Client
	// Jobs is the number of jobs in the queue.
	Jobs int
	// StartConverter and StopConverter start and stop the system's converter.
	StartConverter, StopConverter func(ctx context.Context) error
	// Memory returns the resident memory of the three services together, in bytes.
	Memory func() (int64, error)
	// Document is the path of a small document.
	Document string
	// Output receives a human-readable table.
	Output io.Writer
}

// Backlog measures a system with an empty queue, and then with many jobs in the queue, and prints a table.
func Backlog(ctx context.Context, o BacklogOptions) error {
	content, err := os.ReadFile(o.Document)
	if err != nil {
		return err
	}
	b := &backlog{BacklogOptions: o, content: content}
	empty, err := b.measure(ctx)
	if err != nil {
		return fmt.Errorf("measure with an empty queue: %w", err)
	}
	if _, err := b.submit(ctx, o.Jobs); err != nil {
		return fmt.Errorf("fill the queue: %w", err)
	}
	full, err := b.measure(ctx)
	if err != nil {
		return fmt.Errorf("measure with %d jobs in the queue: %w", o.Jobs, err)
	}
	m := measurement{table: tabwriter.NewWriter(o.Output, 0, 0, 2, ' ', 0)}
	name := fmt.Sprintf("%d jobs queued", o.Jobs)
	for i, row := range []struct{ what, unit string }{
		{"submissions", "per s"}, {"polls", "per s"}, {"conversions", "per s"}, {"memory of the services", "MiB"},
	} {
		m.show(row.what, row.unit, []figure{{"empty queue", empty[i]}, {name, full[i]}})
	}
	return m.table.Flush()
}

type backlog struct {
	BacklogOptions

	content []byte
	// queued are the jobs whose end has not been awaited yet, in the order of their submission.
	queued []client.Job
}

// submit submits n jobs and returns how many it submitted per second.
func (b *backlog) submit(ctx context.Context, n int) (float64, error) {
	jobs := make([]client.Job, n)
	submitted, err := rate(ctx, n, func(i int) (err error) {
		jobs[i], err = b.Client.Submit(ctx, filepath.Base(b.Document), bytes.NewReader(b.content), int64(len(b.content)))
		return err
	})
	b.queued = append(b.queued, jobs...)
	return submitted, err
}

// measure returns the medians of the rates of submissions, polls and conversions, per second, and of the memory, in MiB.
func (b *backlog) measure(ctx context.Context) ([]float64, error) {
	figures := make([][]float64, 4)
	for range rounds {
		submitted, err := b.submit(ctx, submissions)
		if err != nil {
			return nil, fmt.Errorf("submit: %w", err)
		}
		polled, err := rate(ctx, polls, func(i int) error {
			_, err := b.Client.Job(ctx, b.queued[i%len(b.queued)].ID)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("poll: %w", err)
		}
		converted, memory, err := b.convert(ctx)
		if err != nil {
			return nil, fmt.Errorf("convert: %w", err)
		}
		for i, value := range []float64{submitted, polled, converted, float64(memory) / (1 << 20)} {
			figures[i] = append(figures[i], value)
		}
	}
	medians := make([]float64, len(figures))
	for i := range figures {
		medians[i] = median(figures[i])
	}
	return medians, nil
}

// convert runs the converter for a number of jobs. It returns the conversions per second and the memory of the
// services.
func (b *backlog) convert(ctx context.Context) (rate float64, memory int64, err error) {
	const warmUp, last, margin = 20, 140, 20 // jobs; the margin covers those that end while the converter stops
	if err := b.StartConverter(ctx); err != nil {
		return 0, 0, err
	}
	if _, err := b.Client.Wait(ctx, b.queued[warmUp]); err != nil {
		return 0, 0, err
	}
	took, err := timed(func() error {
		_, err := b.Client.Wait(ctx, b.queued[last])
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	if memory, err = b.Memory(); err != nil {
		return 0, 0, err
	}
	b.queued = b.queued[last+margin:]
	return (last - warmUp) / took.Seconds(), memory, b.StopConverter(ctx)
}
