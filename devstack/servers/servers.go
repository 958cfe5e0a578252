// Package servers runs RabbitMQ, PostgreSQL and MinIO as private child processes.
//
// They listen on free ports of 127.0.0.1 with random passwords and keep their data in their own directory, so that they
// do not interfere with anything else on the machine. All of them end when this process ends, for whatever reason. Each
// can be stopped, killed and restarted on the same port with the same data.
package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/devstack/daemon"
	"github.com/docmill/docmill/devstack/install"
)

// Options are the parameters of [Start]. The zero value starts servers in a temporary directory.
type Options struct {
	// Dir is the directory for data, logs and credentials. It is created if necessary; existing data is reused. Empty
	// means a temporary directory that [Servers.Stop] removes.
	Dir string
	// Durable makes PostgreSQL wait for the disk, and RabbitMQ keep its write-ahead log small, as in production. Without it
	// the data survives a killed server, but not a power failure.
	Durable bool
	// BrokerNodes is the number of nodes of RabbitMQ, which are a cluster if there are several. 0 means 1. Nodes other than
	// the first are only for servers in a temporary directory.
	BrokerNodes int
	// Replace are servers whose names and passwords the new ones get, but not their data.
	Replace *Servers
	// BrokerData is the data that the first node of RabbitMQ starts with, written by [RabbitMQ.CopyData]. Empty means none.
	BrokerData string
	// Log receives what is installed and started; nil disables logging.
	Log *zap.Logger
}

// Servers are the three running servers. It is safe for concurrent use.
type Servers struct {
	// RabbitMQ is the first node of the broker.
	RabbitMQ   *RabbitMQ
	PostgreSQL *PostgreSQL
	MinIO      *MinIO
	// Brokers are all nodes of the broker.
	Brokers []*RabbitMQ

	dir       string
	temporary bool
	lock      *flock.Flock
}

// ErrInUse means that another process runs servers in the directory.
var ErrInUse = errors.New("another process runs servers in this directory")

// Start installs missing programs, starts the three servers concurrently and returns when all of them are ready. ctx
// limits the start only; the servers run until [Servers.Stop] or the end of this process.
func Start(ctx context.Context, options Options) (*Servers, error) {
	if options.Log == nil {
		options.Log = zap.NewNop()
	}
	tools, err := install.Ensure(ctx, options.Log, install.RabbitMQ, install.PostgreSQL, install.MinIO)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, options)
	if err != nil {
		return nil, err
	}
	if options.Replace != nil {
		if _, err := writeSettings(filepath.Join(s.dir, settingsName), options.Replace.settings().withoutPorts()); err != nil {
			return nil, errors.Join(err, s.Stop(ctx))
		}
	}
	settings, err := loadSettings(s.dir)
	if err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	s.Brokers = newRabbitMQ(
		filepath.Join(s.dir, "rabbitmq"), max(1, options.BrokerNodes), s.logFile, tools, settings.RabbitMQ)
	s.RabbitMQ = s.Brokers[0]
	s.PostgreSQL = newPostgreSQL(
		filepath.Join(s.dir, "postgresql"), s.logFile, tools, settings.PostgreSQL, options.Durable)
	s.MinIO = newMinIO(filepath.Join(s.dir, "minio"), s.logFile, tools, settings.MinIO)

	if options.BrokerData != "" {
		if err := os.CopyFS(s.RabbitMQ.dataDir(), os.DirFS(options.BrokerData)); err != nil {
			return nil, errors.Join(fmt.Errorf("copy the data of RabbitMQ: %w", err), s.Stop(ctx))
		}
	}
	group, groupContext := errgroup.WithContext(ctx)
	group.Go(func() error { return s.startBroker(groupContext) })
	group.Go(func() error {
		return s.PostgreSQL.StartAnywhere(groupContext, s.PostgreSQL.settings.Ports, s.PostgreSQL.settle)
	})
	group.Go(func() error { return s.MinIO.StartAnywhere(groupContext, s.MinIO.settings.Ports, s.MinIO.settle) })
	if err := group.Wait(); err != nil {
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	if err := s.saveSettings(); err != nil {
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// startBroker starts the first node, which the others then join one after another: nodes that join at the same time
// wait for each other with random delays.
func (s *Servers) startBroker(ctx context.Context) error {
	for _, node := range s.Brokers {
		if err := node.StartAnywhere(ctx, node.settings.Ports, node.settle); err != nil {
			return err
		}
	}
	if len(s.Brokers) == 1 {
		return nil
	}
	// A vhost that is created 0.1 s after the last node has opened its port may never be announced to it: the request hangs.
	return s.Brokers[len(s.Brokers)-1].Control(ctx, "await_startup")
}

// open prepares and locks the directory.
func open(ctx context.Context, options Options) (*Servers, error) {
	if options.Dir == "" {
		dir, lock, err := temporaryDir(ctx)
		if err != nil {
			return nil, err
		}
		return &Servers{dir: dir, temporary: true, lock: lock}, nil
	}
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return nil, fmt.Errorf("resolve the servers' directory: %w", err)
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("create the servers' directory: %w", err)
	}
	lock := flock.New(filepath.Join(dir, lockName))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the servers' directory: %w", err)
	}
	if !locked {
		return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
	}
	return &Servers{dir: dir, lock: lock}, nil
}

// Dir returns the directory of data and logs; empty if the servers belong to another process.
func (s *Servers) Dir() string { return s.dir }

func (s *Servers) logFile(server string) string { return filepath.Join(s.dir, "log", server+".log") }

// Stop stops the servers cleanly. If their directory is temporary, it just ends them (RabbitMQ takes 6 s to stop
// cleanly) and removes the directory. Servers that are already stopped are not an error.
func (s *Servers) Stop(ctx context.Context) error {
	if s.lock == nil {
		return daemon.ErrNotOurs
	}
	daemons := s.Daemons()
	failures := make([]error, len(daemons))
	var stopping sync.WaitGroup
	for i, one := range daemons {
		stopping.Go(func() {
			if s.temporary {
				failures[i] = one.Discard(ctx)
			} else {
				failures[i] = one.Stop(ctx)
			}
		})
	}
	stopping.Wait()
	if s.RabbitMQ != nil {
		s.RabbitMQ.stopPortMapper()
	}
	err := errors.Join(failures...)
	if s.temporary {
		err = errors.Join(err, removeDir(s.dir))
	}
	return errors.Join(err, s.lock.Close())
}

// Daemons returns the servers as daemons.
func (s *Servers) Daemons() []*daemon.Daemon {
	if s.RabbitMQ == nil { // the start failed before they were created
		return nil
	}
	daemons := []*daemon.Daemon{s.PostgreSQL.Daemon, s.MinIO.Daemon}
	for _, node := range s.Brokers {
		daemons = append(daemons, node.Daemon)
	}
	return daemons
}
