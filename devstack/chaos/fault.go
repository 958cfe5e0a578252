package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/docmill/docmill/devstack/daemon"
	"github.com/docmill/docmill/devstack/servers"
	"github.com/docmill/docmill/devstack/system"
)

// fault is a temporary fault.
type fault struct {
	name string
	// hold is the minimum duration of the fault. It lasts up to 50 % longer.
	hold time.Duration
	// inject begins the fault and returns a function that ends it.
	inject func(ctx context.Context, d *deployment, random *rand.Rand) (heal, error)
	// retries is how many attempts may fail for reasons other than their documents, if this is the only fault; 0 for any
	// number.
	retries int
	// server is the server whose process the fault affects; empty if there is none. Two faults of the same server do not overlap:
	// a PostgreSQL that is killed while its processes are stopped could not be started again.
	server string
	// gentle means that the fault disturbs no connection of a client.
	gentle bool
}

// heal ends a fault.
type heal func(ctx context.Context) error

// none is the heal of faults that are over when inject returns.
func none(context.Context) error { return nil }

// faults are all faults.
func faults() []fault {
	var all []fault
	for _, service := range []string{system.Gateway, system.Converter, system.Status} {
		all = append(all, serviceFaults(service)...)
	}
	all = append(all, serverFaults("RabbitMQ node", func(d *deployment, random *rand.Rand) *daemon.Daemon {
		return pick(random, d.servers.Brokers).Daemon
	})...)
	all = append(all, serverFaults("PostgreSQL", func(d *deployment, _ *rand.Rand) *daemon.Daemon { return d.servers.PostgreSQL.Daemon })...)
	all = append(all, serverFaults("MinIO", func(d *deployment, _ *rand.Rand) *daemon.Daemon { return d.servers.MinIO.Daemon })...)
	all = append(all, networkFaults()...)
	all = append(all, converterFaults()...)
	all = append(all, releaseFaults()...)
	return append(all, stateFaults()...)
}

// singleFaults are the faults of the single-process edition.
func singleFaults() []fault {
	return append(serviceFaults(system.Embedded), fault{
		name: "full disk", hold: 5 * time.Second, inject: func(_ context.Context, d *deployment, _ *rand.Rand) (heal, error) {
			return fullDisk(d, d.gateways[0].data)
		},
	})
}

// pick returns a random element.
func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

// serviceFaults are the faults of the replicas of a service.
func serviceFaults(service string) []fault {
	return []fault{
		{name: "SIGKILL " + service, hold: 0, inject: func(_ context.Context, d *deployment, random *rand.Rand) (heal, error) {
			r := pick(random, d.of(service))
			return r.Start, r.Kill()
		}},
		{name: "SIGSTOP " + service, hold: 4 * time.Second, inject: func(_ context.Context, d *deployment, random *rand.Rand) (heal, error) {
			return paused(pick(random, d.of(service)).Daemon)
		}},
		{name: "restart " + service, gentle: service != system.Embedded, inject: func(ctx context.Context, d *deployment, random *rand.Rand) (heal, error) {
			return none, pick(random, d.of(service)).restart(ctx)
		}},
	}
}

// restart stops a replica cleanly and starts it.
func (r *replica) restart(ctx context.Context) error {
	r.held.Store(true)
	defer r.held.Store(false)
	return errors.Join(r.Stop(ctx), r.Start(ctx))
}

func paused(d *daemon.Daemon) (heal, error) {
	return func(context.Context) error { return d.Resume() }, d.Pause()
}

// serverFaults are the faults of a server.
func serverFaults(name string, pick func(*deployment, *rand.Rand) *daemon.Daemon) []fault {
	return []fault{
		{name: "SIGKILL " + name, server: name, hold: time.Second, inject: func(_ context.Context, d *deployment, random *rand.Rand) (heal, error) {
			server := pick(d, random)
			return server.Start, server.Kill()
		}},
		{name: "SIGSTOP " + name, server: name, hold: 4 * time.Second, inject: func(_ context.Context, d *deployment, random *rand.Rand) (heal, error) {
			return paused(pick(d, random))
		}},
		{name: "restart " + name, server: name, inject: func(ctx context.Context, d *deployment, random *rand.Rand) (heal, error) {
			server := pick(d, random)
			return server.Start, server.Stop(ctx)
		}},
	}
}

// leaderLoss kills the node that leads the queue of the commands.
func leaderLoss(ctx context.Context, d *deployment, _ *rand.Rand) (heal, error) {
	leader, err := d.servers.RabbitMQ.Leader(ctx, d.space.Vhost, commandQueue)
	if err != nil {
		return none, err
	}
	for _, node := range d.servers.Brokers {
		if node.Node() == leader {
			return node.Start, node.Kill()
		}
	}
	return none, errors.New("the queue has no leader")
}

const commandQueue = "docmill.convert.v1"

// rollingRestart restarts all replicas, one after another.
func rollingRestart(ctx context.Context, d *deployment, _ *rand.Rand) (heal, error) {
	for _, r := range d.replicas() {
		if err := r.restart(ctx); err != nil {
			return none, err
		}
	}
	return none, nil
}

// away stops all replicas of a service.
func away(ctx context.Context, replicas []*replica) (heal, error) {
	for _, r := range replicas {
		r.held.Store(true)
		if err := r.Stop(ctx); err != nil {
			return none, err
		}
	}
	return func(ctx context.Context) error {
		var failures []error
		for _, r := range replicas {
			failures = append(failures, r.Start(ctx))
			r.held.Store(false)
		}
		return errors.Join(failures...)
	}, nil
}

// queueFull limits the queue of the commands to one message. The converters are stopped, because they would keep the queue empty.
func queueFull(ctx context.Context, d *deployment, _ *rand.Rand) (heal, error) {
	back, err := away(ctx, d.of(system.Converter))
	if err != nil {
		return back, err
	}
	return func(ctx context.Context) error {
		return errors.Join(d.servers.RabbitMQ.UnlimitQueue(ctx, d.space.Vhost), back(ctx))
	}, d.servers.RabbitMQ.LimitQueue(ctx, d.space.Vhost, commandQueue, 1)
}

// stateFaults are faults of servers that run but work only in part, and faults of more than one process.
func stateFaults() []fault {
	return []fault{
		{name: "loss of a queue's leader", hold: 2 * time.Second, inject: leaderLoss},
		{name: "rolling restart", gentle: true, inject: rollingRestart},
		{name: "status service away", hold: 6 * time.Second, inject: func(ctx context.Context, d *deployment, _ *rand.Rand) (heal, error) {
			return away(ctx, d.statuses)
		}},
		{name: "store away for long", server: "MinIO", hold: 30 * time.Second, inject: storeAway},
		{name: "memory alarm", hold: 2 * publishTimeout, inject: control(
			[]string{"set_vm_memory_high_watermark", "0.000001"}, []string{"set_vm_memory_high_watermark", "0.4"})},
		{name: "disk alarm", hold: 2 * publishTimeout, inject: control(
			[]string{"set_disk_free_limit", "100000GB"}, []string{"set_disk_free_limit", "50MB"})},
		{name: "PostgreSQL read-only", server: "PostgreSQL", hold: 4 * time.Second, inject: func(ctx context.Context, d *deployment, _ *rand.Rand) (heal, error) {
			return func(ctx context.Context) error { return readOnly(ctx, d.servers.PostgreSQL, "off") }, readOnly(ctx, d.servers.PostgreSQL, "on")
		}},
		{name: "PostgreSQL with a full disk", server: "PostgreSQL", hold: 4 * time.Second, inject: func(_ context.Context, d *deployment, _ *rand.Rand) (heal, error) {
			return fullDisk(d, d.database)
		}},
		{name: "queue limit reached", hold: 4 * time.Second, inject: queueFull},
	}
}

func storeAway(ctx context.Context, d *deployment, _ *rand.Rand) (heal, error) {
	return d.servers.MinIO.Start, d.servers.MinIO.Stop(ctx)
}

// control runs rabbitmqctl on a node of the broker, with other arguments for the end of the fault.
func control(begin, end []string) func(context.Context, *deployment, *rand.Rand) (heal, error) {
	return func(ctx context.Context, d *deployment, random *rand.Rand) (heal, error) {
		node := pick(random, d.servers.Brokers)
		return func(ctx context.Context) error { return node.Control(ctx, end...) }, node.Control(ctx, begin...)
	}
}

func readOnly(ctx context.Context, database *servers.PostgreSQL, value string) error {
	return errors.Join(
		database.Execute(ctx, "ALTER SYSTEM SET default_transaction_read_only = "+value),
		database.Execute(ctx, "SELECT pg_reload_conf()"),
	)
}
