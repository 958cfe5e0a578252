package servers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/docmill/docmill/devstack/port"
	"github.com/docmill/docmill/devstack/process"
)

// ErrNotOurs means that a server belongs to another process, which alone may stop and start it.
var ErrNotOurs = errors.New("this server belongs to another process")

// startTimeout bounds one start. RabbitMQ takes 5 s on two idle cores, and several times that when a test run keeps
// them busy.
const startTimeout = 2 * time.Minute

// unit is the life of one server: it can be started, stopped and killed any number of times.
type unit struct {
	name string
	// launch starts the process and returns when it serves.
	launch func(ctx context.Context) (*process.Process, error)
	// settle makes known where the server is, once its ports are drawn.
	settle func()

	mutex   sync.Mutex // held while starting and stopping
	process *process.Process
}

// Start starts the server on its port with its data and returns when it serves. It does nothing when it runs.
func (u *unit) Start(ctx context.Context) error {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if u.launch == nil {
		return ErrNotOurs
	}
	if u.process != nil && u.process.Running() {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("%s took longer than %s to start", u.name, startTimeout))
	defer cancel()
	started, err := u.launch(ctx)
	if err != nil {
		return err
	}
	u.process = started
	return nil
}

// Stop stops the server as its operator would, and returns when it is gone. It does nothing when it does not run.
func (u *unit) Stop(ctx context.Context) error {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if u.launch == nil {
		return ErrNotOurs
	}
	if u.process == nil {
		return nil
	}
	return u.process.Stop(ctx)
}

// discard ends a server whose data is thrown away: faster than Stop, tidier than Kill.
func (u *unit) discard(ctx context.Context) error {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if u.process == nil {
		return nil
	}
	return u.process.Discard(ctx)
}

// Kill ends the server as a crash would (SIGKILL), and returns when it is gone.
func (u *unit) Kill() error {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if u.launch == nil {
		return ErrNotOurs
	}
	if u.process != nil {
		u.process.Kill()
	}
	return nil
}

// Exited is closed when the server's present process has ended; nil when it was never started here.
func (u *unit) Exited() <-chan struct{} {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if u.process == nil {
		return nil
	}
	return u.process.Exited()
}

// Err is nil while the server runs, and then tells how it ended, with the end of its log.
func (u *unit) Err() error {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if u.process == nil {
		return nil
	}
	return u.process.Err()
}

// startAnywhere starts the server on its remembered ports if they are still free, and else on others. A port can be
// taken between the moment it was found free and the moment the server binds it, so that is tried again.
func (u *unit) startAnywhere(ctx context.Context, ports *[]int) error {
	const attempts = 5
	var err error
	for range attempts {
		if err = drawPorts(ports); err != nil {
			return err
		}
		u.settle()
		if err = u.Start(ctx); err == nil || !portTaken(err) {
			return err
		}
	}
	return fmt.Errorf("after %d attempts: %w", attempts, err)
}

// drawPorts replaces the ports by free ones unless all of them are free.
func drawPorts(ports *[]int) error {
	allFree := true
	for _, one := range *ports {
		allFree = allFree && one != 0 && port.IsFree(one)
	}
	if allFree {
		return nil
	}
	drawn, err := port.Free(len(*ports))
	if err != nil {
		return err
	}
	*ports = drawn
	return nil
}

// portTaken recognises how RabbitMQ, PostgreSQL and MinIO each say that somebody listens on their port.
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
