// Package host runs the parts of a service together: it starts them in order, stops them in reverse, and ends the
// process's work when a signal comes or a part fails.
//
// What stopping means is said once, here. SIGTERM or SIGINT begins a drain: parts stop one after another, the last
// started first, each finishing what it has in hand. When the drain deadline passes, or a second signal comes, the parts'
// context is canceled and whatever is unfinished is abandoned; nothing is lost by that, because nothing is
// acknowledged before its effect is durable.
package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// Config says how long stopping may take.
type Config struct {
	DrainTimeout time.Duration `name:"drain-timeout" default:"30s" help:"How long a stopping service may take to finish what it has in hand, for example 30s or 2m."`
}

// Validate refuses a negative time.
func (c Config) Validate() error {
	if c.DrainTimeout < 0 {
		return fmt.Errorf("setting drain-timeout: %s is negative", c.DrainTimeout)
	}
	return nil
}

// Component is one piece of a service that runs as long as the service does: a server, a consumer, a publisher.
type Component struct {
	// Name stands in logs and errors.
	Name string
	// Run serves until drain is closed, finishes what it has in hand and returns nil. It calls ready once, when it
	// serves: only then does the next part start. When ctx is canceled the drain deadline has passed, and Run returns
	// at once. An error ends the whole service; so does returning nil before drain is closed.
	Run func(ctx context.Context, ready func(), drain <-chan struct{}) error
}

// ErrAbandoned says that parts had not finished when the drain deadline passed or a second signal came.
var ErrAbandoned = errors.New("stopped before everything in hand was finished")

// Run runs the parts until ctx is done, SIGTERM or SIGINT comes, or a part fails, and returns when all have stopped. It
// returns nil after a clean stop; otherwise the first failure, or ErrAbandoned.
func Run(ctx context.Context, log *zap.Logger, config Config, parts ...Component) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	return run(ctx, log, config, signals, parts)
}

func run(ctx context.Context, log *zap.Logger, config Config, signals <-chan os.Signal, parts []Component) error {
	hard, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	h := &running{log: log, failed: make(chan error, len(parts))}

	cause := h.start(ctx, hard, signals, parts)
	if cause == nil {
		log.Info("ready")
		cause = h.wait(ctx, signals)
	}
	var failure error
	if !errors.Is(cause, errStop) {
		failure = cause
		log.Error("a part failed; the service stops", zap.Error(cause))
	} else {
		log.Info("draining", zap.Duration("deadline", config.DrainTimeout))
	}
	return errors.Join(failure, h.stop(abandon, config.DrainTimeout, signals))
}

// errStop is the cause of an ordinary stop.
var errStop = errors.New("asked to stop")

// running is the parts that have been started, in order.
type running struct {
	log    *zap.Logger
	failed chan error
	parts  []*started
}

type started struct {
	name  string
	drain chan struct{}
	done  chan struct{}
	err   error // readable once done is closed
}

// start starts the parts one after another and returns nil when all are ready, or why it went no further.
func (h *running) start(ctx, hard context.Context, signals <-chan os.Signal, parts []Component) error {
	for _, part := range parts {
		ready := make(chan struct{})
		h.launch(hard, part, sync.OnceFunc(func() { close(ready) }))
		select {
		case <-ready:
			h.log.Debug("part is ready", zap.String("part", part.Name))
		case err := <-h.failed:
			return err
		case <-signals:
			return errStop
		case <-ctx.Done():
			return errStop
		}
	}
	return nil
}

func (h *running) launch(hard context.Context, part Component, ready func()) {
	s := &started{name: part.Name, drain: make(chan struct{}), done: make(chan struct{})}
	h.parts = append(h.parts, s)
	go func() {
		defer close(s.done)
		s.err = part.Run(hard, ready, s.drain)
		select {
		case <-s.drain:
		default: // nobody asked it to end
			if s.err == nil {
				s.err = errors.New("ended unasked")
			}
			h.failed <- fmt.Errorf("%s: %w", part.Name, s.err)
		}
	}()
}

func (h *running) wait(ctx context.Context, signals <-chan os.Signal) error {
	select {
	case err := <-h.failed:
		return err
	case <-signals:
		return errStop
	case <-ctx.Done():
		return errStop
	}
}

// stop drains the parts in reverse order. All of them share one deadline: it bounds the whole stop, as an
// orchestrator's grace period does.
func (h *running) stop(abandon func(), timeout time.Duration, signals <-chan os.Signal) error {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	var failures []error
	for i, part := range slices.Backward(h.parts) {
		select {
		case <-part.done: // it failed, or ended, before its turn came
			continue
		default:
		}
		close(part.drain)
		select {
		case <-part.done:
		case <-deadline.C:
			return h.abandon(abandon, failures, i, "the drain deadline passed")
		case <-signals:
			return h.abandon(abandon, failures, i, "a second signal came")
		}
		if part.err != nil {
			failures = append(failures, fmt.Errorf("stop %s: %w", part.name, part.err))
		}
		h.log.Debug("part has stopped", zap.String("part", part.name))
	}
	return errors.Join(failures...)
}

// abandonGrace is how long parts may take to return once their context is canceled: they only have to drop what they
// hold. A part that takes longer is left behind, and ends with the process.
const abandonGrace = 2 * time.Second

func (h *running) abandon(cancel func(), failures []error, last int, why string) error {
	cancel()
	for i := last - 1; i >= 0; i-- {
		close(h.parts[i].drain)
	}
	grace := time.NewTimer(abandonGrace)
	defer grace.Stop()
	for i := last; i >= 0; i-- {
		select {
		case <-h.parts[i].done:
		case <-grace.C:
			i = 0 // the rest is left behind as well
		}
	}
	return errors.Join(append(failures, fmt.Errorf("%s while %s was stopping: %w", why, h.parts[last].name, ErrAbandoned))...)
}

// Context returns a copy of ctx that also ends when drain is closed, for components that do not distinguish the two.
// Its cause is context.Canceled if drain was closed.
func Context(ctx context.Context, drain <-chan struct{}) (context.Context, context.CancelFunc) {
	stop, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		select {
		case <-drain:
		case <-stop.Done():
		}
	}()
	return stop, cancel
}
