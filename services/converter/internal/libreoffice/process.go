package libreoffice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/procfs"

	"github.com/docmill/docmill/services/converter/internal/libreoffice/zygote"
	"github.com/docmill/docmill/services/converter/internal/libreoffice/wire"
)

// errParentGone says that the parent ended, and a conversion with it through no fault of its own.
var errParentGone = errors.New("LibreOffice's parent process ended")

// errUnanswered says that the parent did not do what it does at once otherwise.
var errUnanswered = errors.New("LibreOffice's parent process does not answer")

// office is one parent that is warm: it has greeted. It is safe for concurrent use.
type office struct {
	process *zygote.Process
	hello   wire.Hello
	// version is LibreOffice's name and version, for people.
	version string
	folder  string
	born    time.Time
	// resident is its memory when it was new, in bytes.
	resident int64

	// gone is closed when it has ended and all that it said has been heard; then reason says why.
	gone   chan struct{}
	reason error

	// released gets a value after conversions.
	released chan struct{}

	mu      sync.Mutex
	running map[uint64]*forked // by the conversion's id
	users   int                // conversions that hold it, waiting ones included
	begun   uint64             // conversions so far; also the id of the last one
	retired bool               // takes no more
	idle    chan struct{}      // closed when it is retired and has no users
}

// forked is one conversion's place in its office. Each channel gets one value at most.
type forked struct {
	id      uint64
	started chan wire.Started
	refused chan wire.Refused
	done    chan wire.Done
}

// greet waits for the first packet of a process that was just configured.
func greet(ctx context.Context, process *zygote.Process, folder string) (*office, error) {
	stop := context.AfterFunc(ctx, func() { _ = process.Kill() })
	defer stop()
	buffer := make([]byte, wire.MaxPacket)
	n, err := process.Receive(buffer)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		<-process.Exited()
		return nil, fmt.Errorf("%w before it was warm: %w", errParentGone, errors.Join(err, process.Err()))
	}
	message, err := wire.Parse(buffer[:n])
	if err != nil {
		return nil, err
	}
	switch message := message.(type) {
	case wire.Hello:
		o := &office{
			process: process, hello: message, version: versionOf(message.Office), folder: folder, born: time.Now(),
			gone: make(chan struct{}), released: make(chan struct{}, 1), running: map[uint64]*forked{}, idle: make(chan struct{}),
		}
		if o.resident, err = o.memory(); err != nil {
			return nil, err
		}
		go o.listen(buffer)
		return o, nil
	case wire.Fault:
		return nil, fmt.Errorf("%w: %s", errParentGone, message.Reason)
	default:
		return nil, fmt.Errorf("%w: %T instead of a greeting", wire.ErrMalformed, message)
	}
}

// checkVersion refuses a LibreOffice older than 7.4: this engine was never tried with one.
func checkVersion(office string) error {
	var told struct {
		ProductVersion string `json:"ProductVersion"`
	}
	var major, minor int
	_ = json.Unmarshal([]byte(office), &told)
	if n, _ := fmt.Sscanf(told.ProductVersion, "%d.%d", &major, &minor); n == 2 && (major < 7 || major == 7 && minor < 4) {
		return fmt.Errorf("%s is too old: install LibreOffice 7.4 or newer", versionOf(office))
	}
	return nil // what calls itself otherwise has the trial document to prove itself
}

// versionOf reads what LibreOfficeKit says of itself: {"ProductName": "LibreOffice", "ProductVersion": "7.4",
// "ProductExtension": ".7.2", "BuildId": …}.
func versionOf(office string) string {
	var told struct {
		Name      string `json:"ProductName"`
		Version   string `json:"ProductVersion"`
		Extension string `json:"ProductExtension"`
	}
	if err := json.Unmarshal([]byte(office), &told); err != nil || told.Name == "" {
		return "LibreOffice"
	}
	return strings.TrimSpace(told.Name + " " + told.Version + told.Extension)
}

// listen hands the parent's packets to whom they concern, until it is gone.
func (o *office) listen(buffer []byte) {
	defer close(o.gone)
	o.reason = o.dispatchAll(buffer)
	_ = o.process.Kill() // it is gone, or no longer understood
	if err := o.process.Err(); err != nil {
		o.reason = fmt.Errorf("%w (%w)", o.reason, err)
	}
}

func (o *office) dispatchAll(buffer []byte) error {
	for {
		n, err := o.process.Receive(buffer)
		if errors.Is(err, io.EOF) {
			return errParentGone
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errParentGone, err)
		}
		message, err := wire.Parse(buffer[:n])
		if err != nil {
			return fmt.Errorf("%w: %w", errParentGone, err)
		}
		switch message := message.(type) {
		case wire.Started:
			if c := o.child(message.ID, false); c != nil {
				c.started <- message
			}
		case wire.Refused:
			if c := o.child(message.ID, true); c != nil {
				c.refused <- message
			}
		case wire.Done:
			if c := o.child(message.ID, true); c != nil {
				c.done <- message
			}
		case wire.Fault:
			return fmt.Errorf("%w: %s", errParentGone, message.Reason)
		}
	}
}

// child finds the conversion that a packet is about, and forgets it with its last packet.
func (o *office) child(id uint64, last bool) *forked {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.running[id]
	if last {
		delete(o.running, id)
	}
	return c
}

// fork asks for a child; its reports go into pipe.
func (o *office) fork(request wire.Convert, pipe *os.File) (*forked, error) {
	c := &forked{
		started: make(chan wire.Started, 1), refused: make(chan wire.Refused, 1), done: make(chan wire.Done, 1),
	}
	o.mu.Lock()
	o.begun++
	c.id = o.begun
	o.running[c.id] = c
	o.mu.Unlock()
	request.ID = c.id
	packet, err := request.Marshal()
	if err != nil {
		o.child(c.id, true)
		return nil, err
	}
	if err := o.process.Send(packet, pipe); err != nil {
		_ = o.process.Kill() // it has ended, or takes nothing any more
		<-o.gone
		return nil, errors.Join(errParentGone, err)
	}
	return c, nil
}

// end kills a child and waits until it is dead, whatever that takes.
func (o *office) end(c *forked) (wire.Done, error) {
	const patience = 5 * time.Second // it answers within milliseconds
	timer := time.NewTimer(patience)
	defer timer.Stop()
	_ = o.process.Send(wire.Kill(c.id), nil) // if it cannot be sent, the parent is gone, which is seen below
	select {
	case done := <-c.done:
		return done, nil
	case <-o.gone:
		return wire.Done{}, o.reason
	case <-timer.C:
		return wire.Done{}, errors.Join(errUnanswered, o.process.Kill())
	}
}

// hold keeps the office for a conversion, unless it is gone or retired; release gives it back.
func (o *office) hold() bool {
	select {
	case <-o.gone:
		return false
	default:
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.retired {
		return false
	}
	o.users++
	return true
}

func (o *office) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.users--
	o.closeIdle()
	select {
	case o.released <- struct{}{}:
	default:
	}
}

// retire lets the office take no more conversions; idle is closed when the last has ended.
func (o *office) retire() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.retired {
		o.retired = true
		o.closeIdle()
	}
}

func (o *office) closeIdle() {
	if o.retired && o.users == 0 {
		close(o.idle)
	}
}

// conversions is how many it has begun.
func (o *office) conversions() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.begun
}

// memory is the parent's resident memory in bytes.
func (o *office) memory() (int64, error) {
	process, err := procfs.NewProc(o.process.PID())
	if err != nil {
		return 0, fmt.Errorf("look at LibreOffice's parent process: %w", err)
	}
	stat, err := process.Stat()
	if err != nil {
		return 0, fmt.Errorf("look at LibreOffice's parent process: %w", err)
	}
	return int64(stat.ResidentMemory()), nil
}

// close ends the process, with all conversions in it, and removes its folder.
func (o *office) close() error {
	return errors.Join(o.process.Kill(), os.RemoveAll(o.folder))
}
