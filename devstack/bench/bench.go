// Package bench measures Docmill over HTTP, together with what it is compared to: another edition or version, the
// object store alone, and LibreOffice without Docmill. All are measured in one run; only the ratios are comparable
// between machines.
package bench

import (
	"bytes"
	"context"
	"errors"
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

	"github.com/docmill/docmill/client"
)

// Candidate is a Docmill to measure.
type Candidate struct {
	// Name is the edition or version.
	Name string
	// Whole is a complete system.
	Whole *client.Client
	// Edge is a second system whose converter is stopped, to measure submissions and polls without conversions, which
	// would use all processors. If it is nil, they are not measured.
	Edge *client.Client
	// Caching is a system that reuses results. If it is nil, that is not measured.
	Caching *client.Client
	// Busy is a system with as many slots as Slots, and Children returns the ids of the processes in which it converts documents. If it is
	// nil, cancellations are not measured.
	Busy     *client.Client
	Children func() ([]int, error)
	// EdgeURL is the base URL of Edge, and EdgeMemory returns the resident memory, in bytes, of its gateway and status
	// service together.
	EdgeURL    string
	EdgeMemory func() (int64, error)
}

// Options are the parameters of [Run].
type Options struct {
	// Candidates are measured alternately, so that all of them see the same load of the machine. Ratios are relative to
	// the first.
	Candidates []Candidate
	// PutObject stores bytes in the object store directly: the lower bound of a submission.
	PutObject func(ctx context.Context, key string, content []byte) error
	// Soffice is the path of LibreOffice, and Docmill that of the program docmill.
	Soffice, Docmill string
	// Document is the path of a small document, and Letter that of one with a single paragraph.
	Document, Letter string
	// Long is the path of a document that takes seconds.
	Long string
	// Streams is the number of streams of events that are opened to measure their memory.
	Streams int
	// Output receives a human-readable table.
	Output io.Writer
}

// Sample sizes: enough for a stable median, but few enough to run often.
const (
	clients     = 8
	rounds      = 3
	submissions = 200 // per round
	polls       = 4000
	latencies   = 30
	batch       = 60 // jobs submitted at once, per round
)

// Run measures the candidates and prints a table. It takes about three minutes per candidate.
func Run(ctx context.Context, o Options) error {
	content, err := os.ReadFile(o.Document)
	if err != nil {
		return err
	}
	m := measurement{Options: o, content: content, table: tabwriter.NewWriter(o.Output, 0, 0, 2, ' ', 0)}
	fmt.Fprintf(m.table, "%s, %d bytes; %d clients\n\n", filepath.Base(o.Document), len(content), clients)
	for _, measure := range []func(context.Context) error{m.command, m.edge, m.streaming, m.latency, m.reuse, m.throughput, m.canceling} {
		if err := measure(ctx); err != nil {
			return err
		}
	}
	return m.table.Flush()
}

type measurement struct {
	Options

	content []byte
	table   *tabwriter.Writer
}

// show prints one row per figure, with its ratio to the first.
func (m *measurement) show(what, unit string, figures []figure) {
	for _, f := range figures {
		fmt.Fprintf(m.table, "%s\t%s\t%.4g %s\t%.2f of %s\n",
			what, f.name, f.value, unit, f.value/figures[0].value, figures[0].name)
	}
	fmt.Fprintln(m.table, "\t\t\t")
}

type figure struct {
	name  string
	value float64
}

// edge measures submissions and polls.
func (m *measurement) edge(ctx context.Context) error {
	var puts []float64
	submitted, polled := map[string][]float64{}, map[string][]float64{}
	for round := range rounds {
		rate, err := rate(ctx, submissions, func(i int) error {
			return m.PutObject(ctx, fmt.Sprintf("bench-%d-%d", round, i), m.content)
		})
		if err != nil {
			return fmt.Errorf("put objects: %w", err)
		}
		puts = append(puts, rate)
		for _, c := range m.Candidates {
			if c.Edge == nil {
				continue
			}
			submissionRate, pollRate, err := m.edgeOf(ctx, c)
			if err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
			submitted[c.Name], polled[c.Name] = append(submitted[c.Name], submissionRate), append(polled[c.Name], pollRate)
		}
	}
	m.show("submissions", "per s", append(m.medians(submitted), figure{"bare object puts", median(puts)}))
	m.show("polls", "per s", m.medians(polled))
	return nil
}

func (m *measurement) edgeOf(ctx context.Context, c Candidate) (submitted, polled float64, err error) {
	jobs := make([]client.Job, submissions)
	submitted, err = rate(ctx, submissions, func(i int) (err error) {
		jobs[i], err = m.submit(ctx, c.Edge)
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("submit: %w", err)
	}
	polled, err = rate(ctx, polls, func(i int) error {
		_, err := c.Edge.Job(ctx, jobs[i%len(jobs)].ID)
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("poll: %w", err)
	}
	return submitted, polled, nil
}

const withoutDocmill = "soffice --convert-to"

// latency measures one document at a time, from the start of the request until the job has ended.
func (m *measurement) latency(ctx context.Context) error {
	took := map[string][]float64{}
	for range latencies {
		for _, c := range m.Candidates {
			duration, err := timed(func() error { return m.convert(ctx, c.Whole) })
			if err != nil {
				return fmt.Errorf("convert through %s: %w", c.Name, err)
			}
			took[c.Name] = append(took[c.Name], duration.Seconds()*1e3)
		}
		duration, err := timed(func() error { return m.soffice(ctx, 1) })
		if err != nil {
			return err
		}
		took[withoutDocmill] = append(took[withoutDocmill], duration.Seconds()*1e3)
	}
	for _, p := range []int{50, 95} {
		var figures []figure
		for _, c := range m.Candidates {
			figures = append(figures, figure{c.Name, percentile(took[c.Name], p)})
		}
		figures = append(figures, figure{withoutDocmill, percentile(took[withoutDocmill], p)})
		m.show(fmt.Sprintf("end to end, p%d", p), "ms", figures)
	}
	return nil
}

// announced is how long a gateway may take to learn of its converter.
const announced = time.Minute

var errNotReused = errors.New("the result was not reused")

// reuse measures submissions that are answered with an earlier result.
func (m *measurement) reuse(ctx context.Context) error {
	var figures []figure
	for _, c := range m.Candidates {
		if c.Caching == nil {
			continue
		}
		if err := m.fillCache(ctx, c.Caching); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		var took []float64
		for range submissions {
			duration, err := timed(func() error {
				job, err := m.submit(ctx, c.Caching)
				if err == nil && (job.Status != client.Succeeded || !job.Report.Cached) {
					err = errNotReused
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
			took = append(took, duration.Seconds()*1e3)
		}
		figures = append(figures, figure{c.Name, median(took)})
	}
	if len(figures) > 0 {
		m.show("reused result, p50", "ms", figures)
	}
	return nil
}

// fillCache converts the document until its result is reused.
func (m *measurement) fillCache(ctx context.Context, through *client.Client) error {
	ctx, cancel := context.WithTimeoutCause(ctx, announced, errNotReused)
	defer cancel()
	for {
		job, err := m.submit(ctx, through)
		if err == nil {
			job, err = through.Wait(ctx, job)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil || job.Report != nil && job.Report.Cached {
			return err
		}
	}
}

// throughput measures jobs that are submitted at once.
func (m *measurement) throughput(ctx context.Context) error {
	rates := map[string][]float64{}
	for range rounds {
		for _, c := range m.Candidates {
			duration, err := timed(func() error { return m.convertAll(ctx, c) })
			if err != nil {
				return fmt.Errorf("convert a batch through %s: %w", c.Name, err)
			}
			rates[c.Name] = append(rates[c.Name], batch/duration.Seconds())
		}
	}
	const few = 8
	duration, err := timed(func() error { return m.soffice(ctx, few) })
	if err != nil {
		return err
	}
	m.show("throughput", "jobs per s", append(m.medians(rates), figure{withoutDocmill, few / duration.Seconds()}))
	return nil
}

func (m *measurement) convertAll(ctx context.Context, c Candidate) error {
	group, ctx := errgroup.WithContext(ctx)
	for range batch {
		group.Go(func() error { return m.convert(ctx, c.Whole) })
	}
	return group.Wait()
}

func (m *measurement) convert(ctx context.Context, through *client.Client) error {
	job, err := m.submit(ctx, through)
	if err != nil {
		return err
	}
	_, err = through.Wait(ctx, job)
	return err
}

func (m *measurement) submit(ctx context.Context, to *client.Client) (client.Job, error) {
	return to.Submit(ctx, filepath.Base(m.Document), bytes.NewReader(m.content), int64(len(m.content)))
}

// soffice converts the document n times with one process each, as a script would. All share one existing profile;
// creating one each time would be even slower.
func (m *measurement) soffice(ctx context.Context, n int) error {
	dir, err := os.MkdirTemp("", "docmill-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for range n {
		command := exec.CommandContext(ctx, m.Soffice, m.profile(), "--headless", "--convert-to", "pdf", "--outdir", dir, m.Document)
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("run soffice: %w: %s", err, output)
		}
	}
	results, err := os.ReadDir(dir)
	if err == nil && len(results) == 0 {
		err = fmt.Errorf("soffice wrote nothing for %s", m.Document)
	}
	return err
}

// profile is the argument with the profile that all runs of soffice share.
func (m *measurement) profile() string {
	return "-env:UserInstallation=file://" + filepath.Join(os.TempDir(), fmt.Sprintf("docmill-bench-profile-%d", os.Getpid()))
}

// medians returns each candidate's median, in the candidates' order.
func (m *measurement) medians(of map[string][]float64) []figure {
	var figures []figure
	for _, c := range m.Candidates {
		if values := of[c.Name]; len(values) > 0 {
			figures = append(figures, figure{c.Name, median(values)})
		}
	}
	return figures
}

// rate calls do n times from several goroutines and returns the calls per second.
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

func median(of []float64) float64 { return percentile(of, 50) }

// percentile returns the p-th percentile by the nearest rank.
func percentile(of []float64, p int) float64 {
	sorted := slices.Sorted(slices.Values(of))
	rank := (p*len(sorted) + 99) / 100
	return sorted[max(rank, 1)-1]
}
