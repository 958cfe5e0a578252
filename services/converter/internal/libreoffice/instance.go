package libreoffice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/prometheus/procfs"

	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/libreoffice/wire"
	"github.com/docmill/docmill/services/converter/internal/libreoffice/zygote"
)

// errZygoteGone means that the zygote ended, and with it a conversion that was not the cause.
var errZygoteGone = fmt.Errorf("%w: LibreOffice's zygote ended", engine.ErrUnavailable)

// errUnanswered means that the zygote did not answer a request that it normally answers within milliseconds.
var errUnanswered = fmt.Errorf("%w: LibreOffice's zygote does not answer", engine.ErrUnavailable)

// instance is a zygote that is warm: it has loaded LibreOffice and sent its greeting. It is safe for concurrent use.
type instance struct {
	process *zygote.Process
	hello   wire.Hello
	// version is LibreOffice's name and version, for people.
	version   string
	directory string
	started   time.Time
	// resident is its resident memory when it was new, in bytes.
	resident int64

	// gone is closed when it has ended and all of its packets were read; then reason is why.
	gone   chan struct{}
	reason error

	// released receives a value after conversions.
	released chan struct{}

	mu      sync.Mutex
	running map[uint64]*child // by the conversion's id
	users   int               // conversions that hold it, including those that have not started
	begun   uint64            // conversions so far; also the id of the last one
	retired bool              // accepts no more conversions
	idle    chan struct{}     // closed when it is retired and has no users
}

// child is one conversion of an instance. Each channel receives at most one value.
type child struct {
	id      uint64
	started chan wire.Started
	refused chan wire.Refused
	done    chan wire.Done
}

// awaitGreeting waits for the first packet of a process that was just configured.
func awaitGreeting(ctx context.Context, process *zygote.Process, directory string) (*instance, error) {
	stop := context.AfterFunc(ctx, func() { _ = process.Kill() })
	defer stop()
	buffer := make([]byte, wire.MaxPacket)
	n, err := process.Receive(buffer)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		<-process.Exited()
		return nil, fmt.Errorf("%w before it was warm: %w", errZygoteGone, errors.Join(err, process.Err()))
	}
	message, err := wire.Parse(buffer[:n])
	if err != nil {
		return nil, err
	}
	switch message := message.(type) {
	case wire.Hello:
		i := &instance{
			process: process, hello: message, version: nameOf(message.Office), directory: directory, started: time.Now(),
			gone: make(chan struct{}), released: make(chan struct{}, 1), running: map[uint64]*child{}, idle: make(chan struct{}),
		}
		if i.resident, err = i.memory(); err != nil {
			return nil, err
		}
		go i.listen(buffer)
		return i, nil
	case wire.Fault:
		return nil, fmt.Errorf("%w: %s", errZygoteGone, message.Reason)
	default:
		return nil, fmt.Errorf("%w: %T instead of a greeting", wire.ErrMalformed, message)
	}
}

// listen dispatches the zygote's packets until it is gone.
func (i *instance) listen(buffer []byte) {
	defer close(i.gone)
	i.reason = i.dispatchAll(buffer)
	_ = i.process.Kill() // it is gone, or sent a malformed packet
	if err := i.process.Err(); err != nil {
		i.reason = fmt.Errorf("%w (%w)", i.reason, err)
	}
}

func (i *instance) dispatchAll(buffer []byte) error {
	for {
		n, err := i.process.Receive(buffer)
		if errors.Is(err, io.EOF) {
			return errZygoteGone
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errZygoteGone, err)
		}
		message, err := wire.Parse(buffer[:n])
		if err != nil {
			return fmt.Errorf("%w: %w", errZygoteGone, err)
		}
		switch message := message.(type) {
		case wire.Started:
			if c := i.find(message.ID, false); c != nil {
				c.started <- message
			}
		case wire.Refused:
			if c := i.find(message.ID, true); c != nil {
				c.refused <- message
			}
		case wire.Done:
			if c := i.find(message.ID, true); c != nil {
				c.done <- message
			}
		case wire.Fault:
			return fmt.Errorf("%w: %s", errZygoteGone, message.Reason)
		}
	}
}

// find returns the conversion that a packet is about, and removes it with its last packet.
func (i *instance) find(id uint64, last bool) *child {
	i.mu.Lock()
	defer i.mu.Unlock()
	c := i.running[id]
	if last {
		delete(i.running, id)
	}
	return c
}

// fork requests a child; its reports go into pipe.
func (i *instance) fork(order wire.Convert, pipe *os.File) (*child, error) {
	c := &child{
		started: make(chan wire.Started, 1), refused: make(chan wire.Refused, 1), done: make(chan wire.Done, 1),
	}
	i.mu.Lock()
	i.begun++
	c.id = i.begun
	i.running[c.id] = c
	i.mu.Unlock()
	order.ID = c.id
	packet, err := order.Marshal()
	if err != nil {
		i.find(c.id, true)
		return nil, err
	}
	if err := i.process.Send(packet, pipe); err != nil {
		_ = i.process.Kill() // it has ended, or does not read
		<-i.gone
		return nil, errors.Join(errZygoteGone, err)
	}
	return c, nil
}

// kill kills a child and waits until it is dead. If the zygote does not answer, kill ends the zygote.
func (i *instance) kill(c *child) (wire.Done, error) {
	const timeout = 5 * time.Second // it answers within milliseconds
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	_ = i.process.Send(wire.Kill(c.id), nil) // if it cannot be sent, the zygote is gone: see below
	select {
	case done := <-c.done:
		return done, nil
	case <-i.gone:
		return wire.Done{}, i.reason
	case <-timer.C:
		return wire.Done{}, errors.Join(errUnanswered, i.process.Kill())
	}
}

// hold reserves the instance for a conversion until release. It returns false if the instance is gone or retired.
func (i *instance) hold() bool {
	select {
	case <-i.gone:
		return false
	default:
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.retired {
		return false
	}
	i.users++
	return true
}

func (i *instance) release() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.users--
	i.closeIdle()
	select {
	case i.released <- struct{}{}:
	default:
	}
}

// retire makes the instance accept no more conversions; idle is closed when the last has ended.
func (i *instance) retire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.retired {
		i.retired = true
		i.closeIdle()
	}
}

func (i *instance) closeIdle() {
	if i.retired && i.users == 0 {
		close(i.idle)
	}
}

// conversions returns how many conversions it has started.
func (i *instance) conversions() uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.begun
}

// memory returns the zygote's resident memory in bytes.
func (i *instance) memory() (int64, error) {
	process, err := procfs.NewProc(i.process.PID())
	if err != nil {
		return 0, fmt.Errorf("inspect LibreOffice's zygote: %w", err)
	}
	stat, err := process.Stat()
	if err != nil {
		return 0, fmt.Errorf("inspect LibreOffice's zygote: %w", err)
	}
	return int64(stat.ResidentMemory()), nil
}

// close ends the process and all of its conversions, and removes its directory.
func (i *instance) close() error {
	return errors.Join(i.process.Kill(), os.RemoveAll(i.directory))
}
