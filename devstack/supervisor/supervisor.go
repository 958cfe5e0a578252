// Package supervisor keeps Docmill running in the background. One process has the servers and services as its children;
// the package starts, queries and stops it.
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
	"github.com/docmill/docmill/devstack/system"
)

var (
	// ErrRunning means that another supervisor uses the directory.
	ErrRunning = errors.New("another supervisor uses this directory")
	// ErrNotRunning means that no supervisor is running.
	ErrNotRunning = errors.New("nothing is running")
)

// Options are the parameters of [Run].
type Options struct {
	// Dir is the directory for data, logs and state.
	Dir string
	// Stack is the name of the stack.
	Stack string
	// Build identifies the programs that run; see [BuildID].
	Build string
	// Start starts the stack. Stack.Stop stops it.
	Start func(ctx context.Context) (Stack, error)
	Log   *zap.Logger
}

// Stack is what a supervisor runs.
type Stack struct {
	// URL is the public address.
	URL      string
	Services []Service
	// Daemons are restarted whenever they end.
	Daemons []*daemon.Daemon
	Stop    func(ctx context.Context) error
}

// Run starts the stack, records that in the state, restarts daemons that end by themselves, and stops everything when
// ctx ends. The background process calls it.
func Run(ctx context.Context, options Options) (err error) {
	held, err := lock(options.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	state := State{PID: os.Getpid(), StartedAt: time.Now(), Stack: options.Stack, Build: options.Build}
	if err := state.write(options.Dir); err != nil {
		return err
	}
	stack, err := options.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stack.Stop(context.WithoutCancel(ctx))) }()

	state.Ready, state.URL, state.Services = true, stack.URL, stack.Services
	if err := state.write(options.Dir); err != nil {
		return err
	}
	options.Log.Info("Docmill is ready", zap.String("url", state.URL))
	watch(ctx, options.Log, stack.Daemons)
	options.Log.Info("stopping")
	return nil
}

// LogDir returns the directory of the logs of the services. Those of the servers are in [ServersLogDir].
func LogDir(dir string) string { return filepath.Join(dir, "log") }

// ServersLogDir returns the directory of the logs of RabbitMQ, PostgreSQL and MinIO.
func ServersLogDir(dir string) string { return filepath.Join(dir, "servers", "log") }

// watch keeps the daemons running until ctx ends.
func watch(ctx context.Context, log *zap.Logger, daemons []*daemon.Daemon) {
	var watching sync.WaitGroup
	for _, one := range daemons {
		watching.Go(func() { keep(ctx, log.With(zap.String("daemon", one.Name())), one) })
	}
	watching.Wait()
}

// keep restarts a daemon whenever it ends: at once at first, then with growing pauses.
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
		log.Error("daemon ended; restarting", zap.Error(one.Err()))
		if time.Since(started) > stable {
			pause = shortest
		}
		for err := one.Start(ctx); err != nil; err = one.Start(ctx) {
			if ctx.Err() != nil {
				return
			}
			log.Error("daemon did not start; retrying", zap.Error(err), zap.Duration("in", pause))
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, longest)
		}
	}
}

// BuildID returns a hash of the binaries of the programs.
func BuildID(binaries string, programs ...system.Program) (string, error) {
	sum := sha256.New()
	for _, program := range programs {
		file, err := os.Open(filepath.Join(binaries, program.Binary))
		if err != nil {
			return "", fmt.Errorf("read the program %s: %w", program.Binary, err)
		}
		_, err = io.Copy(sum, file)
		if err := errors.Join(err, file.Close()); err != nil {
			return "", fmt.Errorf("read the program %s: %w", program.Binary, err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
