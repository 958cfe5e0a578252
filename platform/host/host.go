// Package host runs the components of a service: it starts them in order, stops them in reverse order, and stops the
// service on a signal or when a component fails.
//
// Stopping is defined here. SIGTERM or SIGINT begins it: the service is [Leaving], but works as before for the drain delay,
// so that load balancers notice. Then it drains: the components stop one after another, the last one started first, and
// each finishes its current work. When the drain deadline passes, or a second signal arrives, the components' contexts
// are canceled, one after another in the same order, and unfinished work is abandoned: a component can still use those that
// were started before it, to pass its work on. Nothing is lost in any case, because nothing is acknowledged before its
// effect is durable.
package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// Config limits the time that stopping takes. A program that embeds it defines the default of the delay, drain_delay.
//
//nolint:lll // kong's tags cannot be wrapped
type Config struct {
	DrainDelay   time.Duration `name:"drain-delay" default:"${drain_delay}" help:"Time after SIGTERM in which the service still accepts requests, while /readyz already answers 503, so that load balancers stop sending requests before the service stops accepting them. The grace period of the orchestrator (Kubernetes: terminationGracePeriodSeconds) must be a few seconds longer than drain-delay and drain-timeout together."`
	DrainTimeout time.Duration `name:"drain-timeout" default:"30s" help:"Maximum time to finish current work when the service stops, after the drain-delay; for example 30s or 2m."`
}

// Validate rejects negative times.
func (c Config) Validate() error {
	if c.DrainDelay < 0 {
		return fmt.Errorf("setting drain-delay: %s is negative", c.DrainDelay)
	}
	if c.DrainTimeout < 0 {
		return fmt.Errorf("setting drain-timeout: %s is negative", c.DrainTimeout)
	}
	return nil
}

// Component is a part of a service that runs as long as the service does, such as a server, a consumer or a publisher.
type Component struct {
	// Name appears in logs and errors.
	Name string
	// Run serves until drain is closed, finishes its current work and returns nil. It calls ready once, when it serves:
	// only then is the next component started. When ctx is canceled the drain deadline has passed, and Run returns as soon
	// as it has dropped its work or passed it on. An error stops the whole service; so does returning nil before drain is closed.
	Run func(ctx context.Context, ready func(), drain <-chan struct{}) error
}

// ErrAbandoned means that components had not finished when the drain deadline passed or a second signal arrived.
var ErrAbandoned = errors.New("stopped with unfinished work")

// Run runs the components until ctx is done, SIGTERM or SIGINT arrives, or a component fails, and returns when all have
// stopped. It returns nil after a clean stop, otherwise the first failure or ErrAbandoned.
func Run(ctx context.Context, log *zap.Logger, config Config, components ...Component) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	return run(ctx, log, config, signals, components)
}

func run(ctx context.Context, log *zap.Logger, config Config, signals <-chan os.Signal, components []Component) error {
	hard, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	phase := &atomic.Int32{}
	hard = withPhase(hard, phase)
	h := &running{log: log, failed: make(chan error, len(components))}

	cause := h.start(ctx, hard, signals, components)
	if cause == nil {
		log.Info("ready")
		phase.Store(int32(Serving))
		cause = h.wait(ctx, signals)
		phase.Store(int32(Leaving))
		if errors.Is(cause, errStop) {
			cause = h.linger(config.DrainDelay, signals)
		}
	}
	phase.Store(int32(Leaving))
	timeout := config.DrainTimeout
	var failure error
	switch {
	case errors.Is(cause, errHurry):
		timeout = 0
	case errors.Is(cause, errStop):
	default:
		failure = cause
		log.Error("component failed; stopping the service", zap.Error(cause))
	}
	log.Info("draining", zap.Duration("deadline", timeout))
	return errors.Join(failure, h.stop(timeout, signals))
}

// The causes of an ordinary stop.
var (
	errStop = errors.New("stop requested")
	// errHurry means that a second signal arrived in the drain delay.
	errHurry = errors.New("a second signal arrived")
)

// running holds the started components, in order.
type running struct {
	log        *zap.Logger
	failed     chan error
	components []*started
}

type started struct {
	name  string
	drain chan struct{}
	// stop closes drain, and abandon also cancels the context of the component. Both may be called again.
	stop, abandon func()
	done          chan struct{}
	err           error // readable once done is closed
}

// start starts the components one after another. It returns nil when all are ready, or the reason why it stopped.
func (h *running) start(ctx, hard context.Context, signals <-chan os.Signal, components []Component) error {
	for _, component := range components {
		ready := make(chan struct{})
		h.launch(hard, component, sync.OnceFunc(func() { close(ready) }))
		select {
		case <-ready:
			h.log.Debug("component ready", zap.String("component", component.Name))
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

func (h *running) launch(hard context.Context, component Component, ready func()) {
	ctx, cancel := context.WithCancel(hard)
	s := &started{name: component.Name, drain: make(chan struct{}), done: make(chan struct{})}
	s.stop = sync.OnceFunc(func() { close(s.drain) })
	s.abandon = func() { s.stop(); cancel() }
	h.components = append(h.components, s)
	go func() {
		defer close(s.done)
		defer cancel()
		s.err = component.Run(ctx, ready, s.drain)
		select {
		case <-s.drain:
		default: // it was not requested to stop
			if s.err == nil {
				s.err = errors.New("ended unexpectedly")
			}
			h.failed <- fmt.Errorf("%s: %w", component.Name, s.err)
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

// linger waits for the drain delay. It returns the cause of the stop.
func (h *running) linger(delay time.Duration, signals <-chan os.Signal) error {
	if delay == 0 {
		return errStop
	}
	h.log.Info("stop requested; still serving for the drain delay", zap.Duration("delay", delay))
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return errStop
	case <-signals:
		return errHurry
	case err := <-h.failed:
		return err
	}
}

// stop drains the components in reverse order. They share one deadline: it limits the whole stop, like an
// orchestrator's grace period.
func (h *running) stop(timeout time.Duration, signals <-chan os.Signal) error {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	var failures []error
	for i, component := range slices.Backward(h.components) {
		select {
		case <-component.done: // it failed, or ended, before its turn
			continue
		default:
		}
		component.stop()
		select {
		case <-component.done:
		case <-deadline.C:
			return h.abandon(failures, i, "the drain deadline passed")
		case <-signals:
			return h.abandon(failures, i, "a second signal arrived")
		}
		if component.err != nil {
			failures = append(failures, fmt.Errorf("stop %s: %w", component.name, component.err))
		}
		h.log.Debug("component stopped", zap.String("component", component.name))
	}
	return errors.Join(failures...)
}

// abandonGrace is how long components may take, one after another, to return once their contexts are canceled: they only
// have to drop their work or pass it on. After that the others are canceled all at once and get finalGrace. A component
// that takes longer is left running and ends with the process. An orchestrator waits for some seconds more than the drain
// timeout (5 in docker-compose.yml).
const (
	abandonGrace = 3 * time.Second
	finalGrace   = time.Second
)

// abandon cancels the components up to the last one, which is being drained.
func (h *running) abandon(failures []error, last int, why string) error {
	grace := time.NewTimer(abandonGrace)
	defer grace.Stop()
	left := h.components[:last+1]
	for len(left) > 0 {
		left[len(left)-1].abandon()
		if !left[len(left)-1].endsBy(grace.C) {
			break
		}
		left = left[:len(left)-1]
	}
	for _, component := range left {
		component.abandon()
	}
	grace.Reset(finalGrace)
	for len(left) > 0 && left[len(left)-1].endsBy(grace.C) {
		left = left[:len(left)-1]
	}
	return errors.Join(append(failures, fmt.Errorf("%s while %s was stopping: %w", why, h.components[last].name, ErrAbandoned))...)
}

// endsBy waits for the component's end, and reports whether it ended before the deadline.
func (s *started) endsBy(deadline <-chan time.Time) bool {
	select {
	case <-s.done:
		return true
	case <-deadline:
		return false
	}
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

// Every returns the Run of a component that calls f once it is ready, and then periodically. The context of f ends when the
// component is drained.
func Every(interval time.Duration, f func(ctx context.Context)) func(ctx context.Context, ready func(), drain <-chan struct{}) error {
	return func(ctx context.Context, ready func(), drain <-chan struct{}) error {
		ctx, stop := Context(ctx, drain)
		defer stop()
		ready()
		clock := time.NewTicker(interval)
		defer clock.Stop()
		for {
			f(ctx)
			select {
			case <-clock.C:
			case <-ctx.Done():
				return nil
			}
		}
	}
}
