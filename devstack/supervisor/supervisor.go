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
	"github.com/docmill/docmill/devstack/system"
)

var (
	// ErrRunning means that another supervisor has the directory.
	ErrRunning = errors.New("a supervisor already runs in this directory")
	// ErrNotRunning means that there is no supervisor.
	ErrNotRunning = errors.New("nothing is running")
)

// Options of [Run].
type Options struct {
	// Dir keeps data, logs and state.
	Dir string
	// Stack is the name of what is supervised.
	Stack string
	// Build identifies the programs that run; see [BuildID].
	Build string
	// Start starts what is supervised. What it started ends with the stack's Stop.
	Start func(ctx context.Context) (Stack, error)
	Log   *zap.Logger
}

// Stack is what a supervisor runs.
type Stack struct {
	// URL is the public address.
	URL      string
	Services []Service
	// Daemons are started again whenever they end.
	Daemons []*daemon.Daemon
	Stop    func(ctx context.Context) error
}

// Run starts the stack, says so in the directory's state, starts again what ends by itself, and stops everything when ctx
// ends. It is what the background process does.
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

// BuildID changes whenever one of the programs' binaries does.
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
