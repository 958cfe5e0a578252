package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
	"go.uber.org/zap"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/bench"
	"github.com/docmill/docmill/devstack/install"
	"github.com/docmill/docmill/devstack/servers"
	"github.com/docmill/docmill/devstack/system"
)

// small is the document that the benchmark converts, of 3 pages, letter is one with a single paragraph, and long is one of 100 slides. All
// are in the project directory.
const small, letter, long = "testdata/synth-three-pages.docx", "testdata/synth-letter.docx", "testdata/odftoolkit__Presentation7.odp"

type benchCommand struct {
	File    string `arg:"" optional:"" type:"path" help:"Small document to convert. Default: a document of 3 pages."`
	Compare string `placeholder:"DIR" type:"path" help:"Directory of the services of another version, to measure in the same run."`
	Backlog int    `placeholder:"JOBS" help:"Measure only the services, with an empty queue and with this many jobs in the queue."`
}

func (c *benchCommand) Run(ctx context.Context, log *zap.Logger) (err error) {
	project, err := projectDir()
	if err != nil {
		return err
	}
	if c.File == "" {
		c.File = filepath.Join(project, small)
	}
	field, err := newField(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, field.stop(context.WithoutCancel(ctx))) }()

	binaries := filepath.Join(project, "bin")
	if c.Backlog > 0 {
		return field.backlog(ctx, binaries, c.Backlog, c.File)
	}
	if err := field.addServices(ctx, "services", system.Release{Binaries: binaries}); err != nil {
		return err
	}
	if c.Compare != "" {
		if err := field.addServices(ctx, "compared services", system.Release{Binaries: c.Compare, Earlier: true}); err != nil {
			return err
		}
	}
	if err := field.addEmbedded(ctx, "embedded", binaries); err != nil {
		return err
	}
	bucket := field.servers.Space("puts")
	if err := bucket.Create(ctx); err != nil {
		return err
	}
	return bench.Run(ctx, bench.Options{
		Candidates: field.candidates, Soffice: field.tools.Soffice, Docmill: filepath.Join(binaries, "docmill"),
		Document: c.File, Letter: filepath.Join(project, letter), Long: filepath.Join(project, long), Streams: streams(), Output: os.Stdout,
		PutObject: func(ctx context.Context, key string, content []byte) error {
			return field.servers.MinIO.PutObject(ctx, bucket.SourcesBucket, key, content)
		},
	})
}

// field is the set of systems to measure.
type field struct {
	tools      install.Tools
	servers    *servers.Servers
	candidates []bench.Candidate
	systems    []*system.System
}

// newField installs what is missing, and starts servers for the systems.
func newField(ctx context.Context, log *zap.Logger) (*field, error) {
	tools, err := install.Ensure(ctx, log, install.Services()...)
	if err != nil {
		return nil, err
	}
	shared, err := servers.Start(ctx, servers.Options{Durable: true, Log: log})
	if err != nil {
		return nil, fmt.Errorf("start servers: %w", err)
	}
	return &field{tools: tools, servers: shared}, nil
}

// startServices starts the three services in a space of that name.
func (f *field) startServices(ctx context.Context, space string, options system.Options) (*system.System, error) {
	options.Space = f.servers.Space(space)
	if err := options.Space.Create(ctx); err != nil {
		return nil, err
	}
	return f.start(ctx, system.Start, space, options)
}

// addServices starts the three services two or four times, each in its own space on the servers. The second has no converter. The third
// reuses results, and jobs of the fourth, which has more slots, are canceled: earlier releases cannot do that.
func (f *field) addServices(ctx context.Context, name string, release system.Release) error {
	started := func(space string, options system.Options) (*system.System, error) {
		options.Release = release
		s, err := f.startServices(ctx, fmt.Sprintf("bench-%d-%s", len(f.candidates), space), options)
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", name, err)
		}
		return s, nil
	}
	whole, err := started("whole", system.Options{})
	if err != nil {
		return err
	}
	edge, err := started("edge", system.Options{})
	if err != nil {
		return err
	}
	candidate := bench.Candidate{
		Name: name, Whole: newClient(whole.URL()), Edge: newClient(edge.URL()), EdgeURL: edge.URL(),
		EdgeMemory: func() (int64, error) { return memory(edge.Gateway, edge.Status) },
	}
	if !release.Earlier {
		caching, err := started("caching", system.Options{Env: caching()})
		if err != nil {
			return err
		}
		candidate.Caching = newClient(caching.URL())
		busy, err := started("busy", system.Options{Env: map[string][]string{system.Converter: {fmt.Sprintf("DOCMILL_SLOTS=%d", bench.Slots)}}})
		if err != nil {
			return err
		}
		candidate.Busy, candidate.Children = newClient(busy.URL()), func() ([]int, error) { return children(busy.Converter) }
	}
	f.candidates = append(f.candidates, candidate)
	return edge.Converter.Stop(ctx)
}

// caching returns the environment of a system that reuses results.
func caching() map[string][]string {
	on := []string{"DOCMILL_CACHE=on"}
	return map[string][]string{system.Gateway: on, system.Embedded: on}
}

// backlog measures the services with many jobs in the queue.
func (f *field) backlog(ctx context.Context, binaries string, jobs int, document string) error {
	started, err := f.startServices(ctx, "backlog", system.Options{Release: system.Release{Binaries: binaries}})
	if err != nil {
		return fmt.Errorf("start services: %w", err)
	}
	if err := started.Converter.Stop(ctx); err != nil {
		return err
	}
	return bench.Backlog(ctx, bench.BacklogOptions{
		Client: newClient(started.URL()), Jobs: jobs, Document: document, Output: os.Stdout,
		StartConverter: started.Converter.Start, StopConverter: started.Converter.Stop,
		Memory: func() (int64, error) { return memory(started.Services()...) },
	})
}

// memory returns the resident memory of services, in bytes.
func memory(services ...*system.Service) (int64, error) {
	total := 0
	for _, service := range services {
		process, err := procfs.NewProc(service.PID())
		if err != nil {
			return 0, fmt.Errorf("measure %s: %w", service.Name(), err)
		}
		stat, err := process.Stat()
		if err != nil {
			return 0, fmt.Errorf("measure %s: %w", service.Name(), err)
		}
		total += stat.ResidentMemory()
	}
	return int64(total), nil
}

// children returns the ids of the processes that convert documents: the children of the zygotes, which are children of the converter.
func children(converter *system.Service) ([]int, error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	parents := make(map[int]int, len(all))
	for _, one := range all {
		if stat, err := one.Stat(); err == nil { // it may have ended
			parents[one.PID] = stat.PPID
		}
	}
	var found []int
	for pid, parent := range parents {
		if parents[parent] == converter.PID() {
			found = append(found, pid)
		}
	}
	return found, nil
}

// maxStreams is the number of streams of events that the benchmark opens, if the machine permits.
const maxStreams = 10_000

// streams returns how many streams the benchmark can open: a gateway accepts half as many connections as it may open
// files, and needs some for other requests.
func streams() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	const others = 100
	return max(0, min(maxStreams, int(limit.Max/2)-others))
}

// addEmbedded starts `docmill serve`. Its submissions are not measured separately, because its converter cannot be
// stopped.
func (f *field) addEmbedded(ctx context.Context, name, binaries string) error {
	data := filepath.Join(f.servers.Dir(), "embedded")
	started, err := f.start(ctx, system.StartEmbedded, "embedded", system.Options{Data: data, Release: system.Release{Binaries: binaries}})
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	reusing, err := f.start(ctx, system.StartEmbedded, "embedded-caching", system.Options{
		Data: data + "-caching", Release: system.Release{Binaries: binaries}, Env: caching(),
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	f.candidates = append(f.candidates, bench.Candidate{Name: name, Whole: newClient(started.URL()), Caching: newClient(reusing.URL())})
	return nil
}

// newClient returns a client that repeats nothing, which would hide failures, and keeps the connections of a load test:
// with the default of 2, most requests would open a new one.
func newClient(url string) *client.Client {
	const idle = 64
	transport := &http.Transport{MaxIdleConnsPerHost: idle}
	return client.New(url, client.WithHTTPClient(&http.Client{Transport: transport}), client.WithRetries(client.Retries{Tries: 1}))
}

func (f *field) start(
	ctx context.Context, start func(context.Context, system.Options) (*system.System, error), name string,
	options system.Options,
) (*system.System, error) {
	const patience = 2 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	options.LogDir = filepath.Join(f.servers.Dir(), "log-"+name)
	const private = 0o700
	if err := os.MkdirAll(options.LogDir, private); err != nil {
		return nil, fmt.Errorf("create a directory for logs: %w", err)
	}
	started, err := start(ctx, options)
	if err == nil {
		f.systems = append(f.systems, started)
	}
	return started, err
}

// stop stops the systems, and then the servers.
func (f *field) stop(ctx context.Context) error {
	var failures []error
	for _, started := range f.systems {
		failures = append(failures, started.Stop(ctx))
	}
	return errors.Join(append(failures, f.servers.Stop(ctx))...)
}
