// Package supervisor keeps a whole Docmill running in the background: one process that has the servers and services as
// its children, and the means to start it, ask it and stop it.
package supervisor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/devstack/daemon"
	"github.com/docmill/docmill/devstack/servers"
	"github.com/docmill/docmill/devstack/system"
)

var (
	// ErrRunning means that another supervisor has the folder.
	ErrRunning = errors.New("a supervisor already runs in this folder")
	// ErrNotRunning means that there is no supervisor.
	ErrNotRunning = errors.New("nothing is running")
)

// spaceName is what the stack's vhost, database and buckets are called.
const spaceName = "docmill"

// Options of [Run].
type Options struct {
	// Dir keeps data, logs and state.
	Dir string
	// Binaries is the folder with the services' binaries.
	Binaries string
	// GatewayPort is the wanted public port; when it is taken, a free one is used.
	GatewayPort int
	Log         *zap.Logger
}

// Run starts the servers and services, says so in the folder's state, starts again what ends by itself, and stops all of
// them when ctx ends. It is what the background process does.
func Run(ctx context.Context, options Options) (err error) {
	held, err := lock(options.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	state := State{PID: os.Getpid(), StartedAt: time.Now()}
	if err := state.write(options.Dir); err != nil {
		return err
	}
	state.Build, err = BuildID(options.Binaries)
	if err != nil {
		return err
	}

	private, err := servers.Start(ctx, servers.Options{Dir: filepath.Join(options.Dir, "servers"), Durable: true, Log: options.Log})
	if err != nil {
		return fmt.Errorf("starting the servers: %w", err)
	}
	defer func() { err = errors.Join(err, private.Stop(context.WithoutCancel(ctx))) }()
	space := private.Space(spaceName)
	if err := space.Create(ctx); err != nil {
		return fmt.Errorf("preparing the servers: %w", err)
	}
	docmill, err := system.Start(ctx, system.Options{
		Space: space, Binaries: options.Binaries, LogDir: LogDir(options.Dir), GatewayPort: options.GatewayPort,
	})
	if err != nil {
		return fmt.Errorf("starting the services: %w", err)
	}
	defer func() { err = errors.Join(err, docmill.Stop(context.WithoutCancel(ctx))) }()

	state.Ready, state.URL = true, docmill.URL()
	for _, one := range docmill.Services() {
		state.Services = append(state.Services, Service{Name: one.Name(), AdminURL: one.AdminURL})
	}
	if err := state.write(options.Dir); err != nil {
		return err
	}
	options.Log.Info("Docmill is ready", zap.String("url", state.URL))
	watch(ctx, options.Log, append(private.Daemons(), docmill.Daemons()...))
	options.Log.Info("stopping")
	return nil
}

// LogDir is where the services' logs are; those of the servers are in [ServersLogDir].
func LogDir(dir string) string { return filepath.Join(dir, "log") }

// ServersLogDir is where RabbitMQ, PostgreSQL and MinIO log.
func ServersLogDir(dir string) string { return filepath.Join(dir, "servers", "log") }

// watch keeps the daemons running until ctx ends.
func watch(ctx context.Context, log *zap.Logger, daemons []*daemon.Daemon) {
	var watching sync.WaitGroup
	for _, one := range daemons {
		watching.Go(func() { keep(ctx, log.With(zap.String("daemon", one.Name())), one) })
	}
	watching.Wait()
}

// keep starts one daemon again whenever it ends, at first at once and then ever more slowly.
func keep(ctx context.Context, log *zap.Logger, one *daemon.Daemon) {
	const shortest, longest, stable = time.Second, 30 * time.Second, time.Minute
	pause := shortest
	for {
		started := time.Now()
		select {
		case <-ctx.Done():
			return
		case <-one.Exited():
		}
		log.Error("ended by itself; starting it again", zap.Error(one.Err()))
		if time.Since(started) > stable {
			pause = shortest
		}
		for err := one.Start(ctx); err != nil; err = one.Start(ctx) {
			if ctx.Err() != nil {
				return
			}
			log.Error("did not start; trying again", zap.Error(err), zap.Duration("in", pause))
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, longest)
		}
	}
}

// BuildID changes whenever one of the services' binaries does.
func BuildID(binaries string) (string, error) {
	sum := sha256.New()
	for _, name := range system.Names() {
		file, err := os.Open(filepath.Join(binaries, "docmill-"+name))
		if err != nil {
			return "", fmt.Errorf("reading the binary of %s: %w", name, err)
		}
		_, err = io.Copy(sum, file)
		if err := errors.Join(err, file.Close()); err != nil {
			return "", fmt.Errorf("reading the binary of %s: %w", name, err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
