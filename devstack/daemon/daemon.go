// Package daemon is a server program that can be started, stopped and killed any number of times, each time on the same
// ports.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docmill/docmill/devstack/port"
	"github.com/docmill/docmill/devstack/process"
)

// ErrNotOurs means that a daemon belongs to another process, which alone may stop and start it.
var ErrNotOurs = errors.New("this server belongs to another process")

// startTimeout bounds one start. RabbitMQ takes 5 s on two idle cores, and several times that when a test run keeps
// them busy.
const startTimeout = 2 * time.Minute

// Daemon is the life of one server program. Its methods may be called from any goroutine.
type Daemon struct {
	name   string
	launch Launch

	mutex   sync.Mutex // held while starting and stopping
	process *process.Process
}

// Launch starts the program and returns when it serves. When that fails, nothing of it is left running.
type Launch func(ctx context.Context) (*process.Process, error)

// New makes a daemon that does not run yet. Without a launch it is another process's, and only known here.
func New(name string, launch Launch) *Daemon { return &Daemon{name: name, launch: launch} }

// Name of the daemon, for people.
func (d *Daemon) Name() string { return d.name }

// Start starts the daemon and returns when it serves. It does nothing when it runs.
func (d *Daemon) Start(ctx context.Context) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.launch == nil {
		return ErrNotOurs
	}
	if d.process != nil && d.process.Running() {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("%s took longer than %s to start", d.name, startTimeout))
	defer cancel()
	started, err := d.launch(ctx)
	if err != nil {
		return err
	}
	d.process = started
	return nil
}

// Stop stops the daemon as its operator would, and returns when it is gone. It does nothing when it does not run.
func (d *Daemon) Stop(ctx context.Context) error {
	return d.end(func(p *process.Process) error { return p.Stop(ctx) })
}

// Kill ends the daemon as a crash would (SIGKILL), and returns when it is gone.
func (d *Daemon) Kill() error {
	return d.end(func(p *process.Process) error {
		p.Kill()
		return nil
	})
}

// Discard ends a daemon whose data is thrown away: faster than Stop, tidier than Kill.
func (d *Daemon) Discard(ctx context.Context) error {
	return d.end(func(p *process.Process) error { return p.Discard(ctx) })
}

func (d *Daemon) end(how func(*process.Process) error) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.launch == nil {
		return ErrNotOurs
	}
	if d.process == nil {
		return nil
	}
	return how(d.process)
}

// Exited is closed when the daemon's present process has ended; nil when it was never started here.
func (d *Daemon) Exited() <-chan struct{} {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.process == nil {
		return nil
	}
	return d.process.Exited()
}

// Err is nil while the daemon runs, and then tells how it ended, with the end of its log.
func (d *Daemon) Err() error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.process == nil {
		return nil
	}
	return d.process.Err()
}

// PID of the daemon's present or last process; 0 when it was never started here.
func (d *Daemon) PID() int {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.process == nil {
		return 0
	}
	return d.process.PID()
}

// StartAnywhere starts the daemon on the given ports if they are free, and else on others, which it writes to ports.
// Before each start it calls settle, which makes known where the daemon will be. A port can be taken between the moment
// it was found free and the moment the daemon binds it, so that is tried again.
func (d *Daemon) StartAnywhere(ctx context.Context, ports []int, settle func()) error {
	const attempts = 5
	var err error
	for range attempts {
		if err = drawPorts(ports); err != nil {
			return err
		}
		settle()
		if err = d.Start(ctx); err == nil || !portTaken(err) {
			return err
		}
	}
	return fmt.Errorf("after %d attempts: %w", attempts, err)
}

// drawPorts replaces those ports that are 0 or taken by free ones.
func drawPorts(ports []int) error {
	spare, err := port.Free(2 * len(ports)) // twice, because one of them may be among those that stay
	if err != nil {
		return err
	}
	spare = slices.DeleteFunc(spare, func(one int) bool { return slices.Contains(ports, one) })
	for i, one := range ports {
		if one == 0 || !port.IsFree(one) {
			ports[i] = spare[i]
		}
	}
	return nil
}

// portTaken recognises how RabbitMQ, PostgreSQL, MinIO and Go's own servers say that somebody listens on their port.
func portTaken(err error) bool {
	var exit *process.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	said := strings.ToLower(exit.LogTail)
	for _, words := range []string{"eaddrinuse", "address already in use", "address in use", "port is already in use"} {
		if strings.Contains(said, words) {
			return true
		}
	}
	return false
}
