package broker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
)

// Delays between attempts to connect: full jitter, so each is anything from zero to twice its interval, and the
// services of a whole system do not all come back to a restarted broker in the same instant.
const (
	firstDelay = 50 * time.Millisecond
	maxDelay   = 5 * time.Second
	// settled is how long a session has to live before the next delay is short again: a connection that is made and
	// lost over and over must not become a hot loop.
	settled = 10 * time.Second
)

// state is what is known of a supervised connection at one moment.
type state struct {
	session *session // nil: not connected
	cause   error    // why it is not
	alarm   string   // why the broker blocks publishers; empty: it does not
	changed chan struct{}
}

// supervisor keeps a connection alive: when it is lost, it makes another one, for as long as it takes.
type supervisor struct {
	config  Config
	name    string
	log     *zap.Logger
	metrics connectionMetrics

	mu    sync.Mutex
	state state
}

func newSupervisor(config Config, name string, log *zap.Logger, metrics connectionMetrics) *supervisor {
	return &supervisor{
		config: config, name: name, log: log.With(zap.String("connection", name)), metrics: metrics,
		state: state{changed: make(chan struct{})},
	}
}

// run connects and serves, again and again, until stop ends or serve returns nil; sessions end with hard. serve makes a
// new session ready for its use, calls up, uses it, and returns why it ended.
func (s *supervisor) run(hard, stop context.Context, serve func(session *session, up func()) error) {
	delays := &backoff.ExponentialBackOff{InitialInterval: firstDelay, Multiplier: 2, MaxInterval: maxDelay, RandomizationFactor: 1}
	told := "" // an outage is told once, and again when its reason changes
	for stop.Err() == nil {
		began := time.Now()
		err := s.once(hard, stop, serve, func() { told = "" })
		if err == nil || stop.Err() != nil {
			return
		}
		if time.Since(began) >= settled {
			delays.Reset()
		}
		if text := err.Error(); text != told {
			told = text
			s.log.Warn("no connection to the broker; trying until there is one", zap.Error(err))
		}
		wait(stop, delays.NextBackOff())
	}
}

// once makes one connection and serves on it until its end.
func (s *supervisor) once(hard, stop context.Context, serve func(*session, func()) error, connected func()) error {
	dialing, abort := context.WithCancel(hard)
	defer abort()
	release := context.AfterFunc(stop, abort) // a stop need not wait for a broker that does not answer
	session, err := dial(dialing, s.config, s.name)
	if err != nil {
		s.update(func(now *state) { *now = state{cause: err} })
		return err
	}
	release()
	session.watch(func(reason string) { s.update(func(now *state) { now.alarm = reason }) })
	err = serve(session, func() {
		connected()
		s.log.Info("connected to the broker")
		s.update(func(now *state) { now.session, now.cause = session, nil })
	})
	session.close()
	s.update(func(now *state) { *now = state{cause: err} })
	return err
}

// update changes what is known, and wakes those who wait for it.
func (s *supervisor) update(change func(*state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.state
	change(&s.state)
	s.state.changed = make(chan struct{})
	close(before.changed)
	if before.session != nil && s.state.session == nil {
		s.metrics.losses.Inc()
	}
	if before.alarm != s.state.alarm && s.state.session != nil {
		s.log.Warn("the broker's alarm has changed", zap.Bool("blocked", s.state.alarm != ""), zap.String("alarm", s.state.alarm))
	}
	s.metrics.connected.Set(gauge(s.state.session != nil))
	s.metrics.blocked.Set(gauge(s.state.alarm != ""))
}

// now gives what is known; its channel is closed when that is no longer so.
func (s *supervisor) now() state {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// err says why the connection is of no use to a publisher now; nil when it is of use.
func (s state) err() error {
	switch {
	case s.session != nil && s.session.ctx.Err() != nil: // lost, while handlers of its deliveries still come to their end
		return fmt.Errorf("%w: %w", ErrNotConnected, s.session.lost())
	case s.session == nil && s.cause != nil:
		return fmt.Errorf("%w: %w", ErrNotConnected, s.cause)
	case s.session == nil:
		return ErrNotConnected
	case s.alarm != "":
		return fmt.Errorf("%w: %s", ErrBlocked, s.alarm)
	default:
		return nil
	}
}

// wait waits for d or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// stopping gives a context that ends when drain is closed, or with ctx.
func stopping(ctx context.Context, drain <-chan struct{}) (context.Context, context.CancelFunc) {
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
