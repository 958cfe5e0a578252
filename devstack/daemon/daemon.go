// Package daemon represents a server program that can be started, stopped and killed repeatedly, always on the same
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

// ErrNotOurs means that a daemon belongs to another process. Only that process may start and stop it.
var ErrNotOurs = errors.New("this server belongs to another process")

// startTimeout limits one start. RabbitMQ takes 5 s on two idle cores, and several times that if a test run keeps them
// busy.
const startTimeout = 4 * time.Minute

// Daemon is one server program. It is safe for concurrent use.
type Daemon struct {
	name   string
	launch Launch

	mutex   sync.Mutex // held while starting and stopping
	process *process.Process
}

// Launch starts the program and returns when it serves. If it fails, it leaves no process running.
type Launch func(ctx context.Context) (*process.Process, error)

// New returns a daemon that is not running. With a nil launch, the daemon belongs to another process.
func New(name string, launch Launch) *Daemon { return &Daemon{name: name, launch: launch} }

// Name returns the name of the daemon, for logs and errors.
func (d *Daemon) Name() string { return d.name }

// Start starts the daemon and returns when it serves. It does nothing if the daemon is running.
func (d *Daemon) Start(ctx context.Context) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.launch == nil {
		return ErrNotOurs
	}
	if d.process != nil && d.process.Running() {
		return nil
	}
	tooSlow := fmt.Errorf("%s took longer than %s to start", d.name, startTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, tooSlow)
	defer cancel()
	started, err := d.launch(ctx)
	if err != nil {
		return err
	}
	d.process = started
	return nil
}

// Stop stops the daemon cleanly and returns when it has ended. It does nothing if the daemon is not running.
func (d *Daemon) Stop(ctx context.Context) error {
	return d.with(func(p *process.Process) error { return p.Stop(ctx) })
}

// Kill ends the daemon like a crash (SIGKILL) and returns when it has ended.
func (d *Daemon) Kill() error {
	return d.with(func(p *process.Process) error {
		p.Kill()
		return nil
	})
}

// Discard ends a daemon whose data is no longer needed: faster than Stop, cleaner than Kill.
func (d *Daemon) Discard(ctx context.Context) error {
	return d.with(func(p *process.Process) error { return p.Discard(ctx) })
}

// Pause stops the daemon and all its descendants with SIGSTOP, like a machine that hangs, until [Daemon.Resume].
// It does nothing if the daemon is not running.
func (d *Daemon) Pause() error { return d.with((*process.Process).Pause) }

// Resume ends Pause.
func (d *Daemon) Resume() error { return d.with((*process.Process).Resume) }

func (d *Daemon) with(do func(*process.Process) error) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.launch == nil {
		return ErrNotOurs
	}
	if d.process == nil {
		return nil
	}
	return do(d.process)
}

// Exited returns a channel that is closed when the current process has ended; nil if the daemon was never started here.
func (d *Daemon) Exited() <-chan struct{} {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.process == nil {
		return nil
	}
	return d.process.Exited()
}

// Err returns nil while the daemon runs. Afterwards it describes how the daemon ended, with the last lines of its log.
func (d *Daemon) Err() error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.process == nil {
		return nil
	}
	return d.process.Err()
}

// PID returns the process ID of the current or last process; 0 if the daemon was never started here.
func (d *Daemon) PID() int {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.process == nil {
		return 0
	}
	return d.process.PID()
}

// StartAnywhere starts the daemon on the given ports if they are free, and on others otherwise, which it writes to
// ports. It calls settle before each start, to publish the addresses. Another process can take a port between the check
// and the bind, so the start is retried with new ports in that case.
func (d *Daemon) StartAnywhere(ctx context.Context, ports []int, settle func()) error {
	const attempts = 5
	var err error
	for range attempts {
		if err = choosePorts(ports); err != nil {
			return err
		}
		settle()
		if err = d.Start(ctx); err == nil || !portTaken(err) {
			return err
		}
	}
	return fmt.Errorf("after %d attempts: %w", attempts, err)
}

// choosePorts replaces ports that are 0 or taken by free ones.
func choosePorts(ports []int) error {
	spare, err := port.Free(2 * len(ports)) // twice as many, because a spare port may equal one that stays
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

// portTaken reports whether err is how RabbitMQ, PostgreSQL, MinIO or a Go server reports that its port is in use.
func portTaken(err error) bool {
	var exit *process.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	text := strings.ToLower(exit.LogTail)
	for _, words := range []string{"eaddrinuse", "address already in use", "address in use", "port is already in use"} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}
