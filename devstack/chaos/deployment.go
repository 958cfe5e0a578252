package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/devstack/datadir"
	"github.com/docmill/docmill/devstack/link"
	"github.com/docmill/docmill/devstack/servers"
	"github.com/docmill/docmill/devstack/system"
)

// The numbers of replicas. Each is connected to another node of the broker.
const (
	brokerNodes = 3
	gateways    = 2
	converters  = 3
	statuses    = 2
)

// transferTimeout is how long a conversion waits for the store: less than the fault "store away for long".
const transferTimeout = 15 * time.Second

// publishTimeout is how long a gateway waits for the publisher confirm of a job. It is shorter than an alarm of the broker,
// so that some jobs reach their queue after their clients were told that the outcome is unknown.
const publishTimeout = 2 * time.Second

// deployment is a Docmill of several replicas on real servers, whose connections can all be disturbed; or of a single
// process.
type deployment struct {
	// servers is nil for a single process, which is gateway, converter and status service.
	servers *servers.Servers
	space   servers.Space
	// inventory is what is stored.
	inventory                      inventory
	gateways, converters, statuses []*replica
	dir                            string
	// binaries is the directory of the programs, and earlier holds those of an earlier release.
	binaries string
	earlier  system.Release
	// disks means that the directories for the work of converters, and database, which has the table of the jobs, are on
	// small file systems of their own.
	disks    bool
	database string
	unmount  func() error

	supervising sync.WaitGroup
	stopping    chan struct{}

	mutex   sync.Mutex
	crashes []string // guarded by mutex
}

// replica is a process of a service with links to what it depends on. Those that the service does not use are nil.
type replica struct {
	*system.Service

	broker, store, database, status *link.Link
	// work is the directory for the files of running conversions, of a converter.
	work string
	// data is the data directory of a single process, and binaries the directory of its program.
	data, binaries string
	// held keeps the service manager from starting the replica.
	held atomic.Bool
}

// deploy starts everything.
func deploy(ctx context.Context, options Options) (_ *deployment, err error) {
	d := &deployment{dir: options.Dir, binaries: options.Binaries, earlier: options.Earlier, stopping: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.stop(context.WithoutCancel(ctx)))
		}
	}()
	start := d.startServices
	if options.Single {
		start = d.startSingle
	}
	if err := start(ctx, options); err != nil {
		return nil, err
	}
	d.supervising.Go(d.kill)
	for _, one := range d.replicas() {
		d.supervising.Go(func() { d.supervise(one) }) //nolint:contextcheck // until stop
	}
	return d, nil
}

// startServices starts servers and several replicas of each service.
func (d *deployment) startServices(ctx context.Context, options Options) (err error) {
	d.servers, err = servers.Start(ctx, servers.Options{BrokerNodes: brokerNodes, Log: options.Log})
	if err != nil {
		return err
	}
	d.space = d.servers.Space("chaos")
	if err := d.space.Create(ctx); err != nil {
		return err
	}
	d.inventory = serverInventory{d.servers, d.space}
	return d.addReplicas(ctx, options.Binaries)
}

// startSingle starts the single-process edition.
func (d *deployment) startSingle(ctx context.Context, options Options) error {
	data := filepath.Join(d.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	if err := d.mount(data); err != nil {
		return err
	}
	one := &replica{work: filepath.Join(data, "work"), data: data, binaries: options.Binaries}
	one.Service = system.NewReplica(system.Embedded, "docmill", system.Options{
		Data: data, Release: system.Release{Binaries: options.Binaries}, LogDir: filepath.Join(d.dir, "log"),
	}, append(statusEnv(), reuse)...)
	d.inventory = dirInventory{datadir.Dir(data), one}
	d.gateways = []*replica{one}
	d.converters, d.statuses = d.gateways, d.gateways
	return one.StartAnywhere(ctx)
}

// addReplicas creates and starts the replicas: those of the status service first, whose addresses the gateways need.
func (d *deployment) addReplicas(ctx context.Context, binaries string) error {
	for i := range statuses {
		if err := d.add(&d.statuses, system.Status, i, binaries); err != nil {
			return err
		}
	}
	if err := start(ctx, d.statuses); err != nil {
		return err
	}
	if err := d.allReady(ctx); err != nil { // they create the tables
		return err
	}
	for i := range converters {
		if err := d.add(&d.converters, system.Converter, i, binaries); err != nil {
			return err
		}
	}
	for i := range gateways {
		if err := d.add(&d.gateways, system.Gateway, i, binaries); err != nil {
			return err
		}
	}
	if err := d.mountAll(ctx); err != nil {
		return err
	}
	if err := start(ctx, append(d.gateways, d.converters...)); err != nil {
		return err
	}
	return d.allReady(ctx)
}

// allReady returns when all replicas are ready.
func (d *deployment) allReady(ctx context.Context) error {
	var ready errgroup.Group
	for _, one := range d.replicas() {
		ready.Go(func() error { return until(ctx, one.Ready) })
	}
	return ready.Wait()
}

// mountAll gives each converter a small file system for its work, and another one to the database, if that is permitted.
func (d *deployment) mountAll(ctx context.Context) error {
	d.database = filepath.Join(d.dir, "database")
	if err := os.Mkdir(d.database, 0o700); err != nil {
		return err
	}
	directories := []string{d.database}
	for _, one := range d.converters {
		directories = append(directories, one.work)
	}
	if err := d.mount(directories...); err != nil || !d.disks {
		return err
	}
	return d.servers.PostgreSQL.MoveTable(ctx, d.space.Vhost, "jobs", d.database)
}

// mount mounts small file systems on directories, if that is permitted.
func (d *deployment) mount(directories ...string) (err error) {
	d.unmount, err = mountDisks(directories...)
	d.disks = err == nil
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// start starts replicas for the first time.
func start(ctx context.Context, replicas []*replica) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, one := range replicas {
		group.Go(func() error { return one.StartAnywhere(ctx) })
	}
	return group.Wait()
}

// until repeats a check until it succeeds.
func until(ctx context.Context, check func(ctx context.Context) error) error {
	const pause, patience = 50 * time.Millisecond, 2 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// add creates the i-th replica of a service, which is not running.
func (d *deployment) add(to *[]*replica, service string, i int, binaries string) (err error) {
	r := &replica{}
	name := fmt.Sprintf("%s-%d", service, i+1)
	space := d.space
	connect := func(what, address string, into **link.Link) string {
		if err != nil {
			return ""
		}
		opened, problem := link.New(name+" "+what, address)
		if problem != nil {
			err = problem
			return ""
		}
		*into = opened
		through, problem := opened.Through(address)
		err = problem
		return through
	}
	node := d.servers.Brokers[(i+len(*to))%brokerNodes]
	space.BrokerURL = connect("to the broker", node.URL+"/"+space.Vhost, &r.broker)
	var env []string
	switch service {
	case system.Status:
		space.DatabaseURL = connect("to the database", space.DatabaseURL, &r.database)
	case system.Gateway:
		space.StoreEndpoint = connect("to the store", space.StoreEndpoint, &r.store)
		url := connect("to the status service", d.statuses[i%len(d.statuses)].URL, &r.status)
		env = append(env, "DOCMILL_STATUS_URL="+url)
		if i == 0 {
			env = append(env, reuse) // the others convert every document
		}
	case system.Converter:
		space.StoreEndpoint = connect("to the store", space.StoreEndpoint, &r.store)
		r.work = filepath.Join(d.dir, "work-"+name)
		env = append(env, "DOCMILL_WORK_DIR="+r.work, "DOCMILL_TRANSFER_TIMEOUT="+transferTimeout.String(),
			"DOCMILL_SLOTS=2", "DOCMILL_CONVERSION_MEMORY=512MiB", "DOCMILL_CONVERSION_DISK=64MiB")
		if problem := os.MkdirAll(r.work, 0o700); problem != nil {
			return problem
		}
	}
	if err != nil {
		return err
	}
	options := system.Options{Space: space, Release: system.Release{Binaries: binaries}, LogDir: filepath.Join(d.dir, "log")}
	options.Env = map[string][]string{system.Gateway: {
		"DOCMILL_DRAIN_DELAY=2s", // the load balancer checks the gateways four times per second
		"DOCMILL_PUBLISH_TIMEOUT=" + publishTimeout.String(),
		"DOCMILL_WEBHOOKS=true",
	}, system.Status: statusEnv()}
	r.Service = system.NewReplica(service, name, options, env...)
	*to = append(*to, r)
	return nil
}

// reuse is the setting that reuses the results of documents that are neither signed nor marked.
const reuse = "DOCMILL_CACHE=on"

// statusEnv returns the settings of the status service: it sends webhooks to this machine, and sweeps orphans all the time.
func statusEnv() []string {
	return []string{
		"DOCMILL_WEBHOOK_SECRET=" + webhookSecret, "DOCMILL_WEBHOOK_ALLOW=127.0.0.1", "DOCMILL_WEBHOOK_TIMEOUT=" + webhookTimeout.String(),
		"DOCMILL_ORPHAN_SWEEP=1s",
	}
}

// replicas returns all replicas.
func (d *deployment) replicas() []*replica {
	if d.servers == nil {
		return d.gateways
	}
	all := append([]*replica(nil), d.statuses...)
	return append(append(all, d.converters...), d.gateways...)
}

// of returns the replicas of a service.
func (d *deployment) of(service string) []*replica {
	switch service {
	case system.Gateway, system.Embedded:
		return d.gateways
	case system.Converter:
		return d.converters
	default:
		return d.statuses
	}
}

// supervise starts a replica again whenever it has ended, as a service manager does, unless a fault keeps it down. It
// records every end that is not due to a signal of this harness.
func (d *deployment) supervise(r *replica) {
	const pause = 500 * time.Millisecond
	for {
		select {
		case <-d.stopping:
			return
		case <-time.After(pause):
		}
		if r.held.Load() {
			continue
		}
		if err := r.Err(); err != nil {
			d.crashed(err)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			_ = r.Start(ctx) // it is tried again
			cancel()
		}
	}
}

// kill kills each converter that has a document of the format killer, like a document that takes its converter with it.
func (d *deployment) kill() {
	const pause = 25 * time.Millisecond
	killed := make(map[string]bool)
	for {
		select {
		case <-d.stopping:
			return
		case <-time.After(pause):
		}
		for _, one := range d.converters {
			found, _ := filepath.Glob(filepath.Join(one.work, "*", "job-*", "document."+killer))
			for _, path := range found {
				if !killed[path] {
					killed[path] = true
					_ = one.Kill() // it may have ended
				}
			}
		}
	}
}

func (d *deployment) crashed(err error) {
	if strings.Contains(err.Error(), "signal: killed") || strings.Contains(err.Error(), "exit status 0") {
		return
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.crashes = append(d.crashes, err.Error())
}

// ends returns how replicas ended that the harness had not stopped.
func (d *deployment) ends() []string {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.crashes
}

// stop ends everything.
func (d *deployment) stop(ctx context.Context) error {
	close(d.stopping)
	d.supervising.Wait()
	var group errgroup.Group
	for _, one := range d.replicas() {
		group.Go(func() error { return one.Stop(ctx) })
	}
	err := group.Wait()
	for _, one := range d.replicas() {
		for _, l := range one.links() {
			l.Close()
		}
	}
	if d.servers != nil {
		err = errors.Join(err, d.servers.Stop(ctx))
	}
	if d.unmount != nil {
		err = errors.Join(err, d.unmount())
	}
	return err
}

// links returns the links of a replica.
func (r *replica) links() []*link.Link {
	var all []*link.Link
	for _, one := range []*link.Link{r.broker, r.store, r.database, r.status} {
		if one != nil {
			all = append(all, one)
		}
	}
	return all
}
