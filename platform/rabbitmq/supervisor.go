package rabbitmq

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/brokermetrics"
	"github.com/docmill/docmill/platform/retry"
)

// reconnect is how a lost connection is made again.
var reconnect = retry.Policy{Initial: 50 * time.Millisecond, Max: 5 * time.Second, Stable: 10 * time.Second}

// state is what is known about a supervised connection at one moment.
type state struct {
	session *session // nil: not connected
	cause   error    // why it is not connected
	alarm   string   // why the broker blocks publishers; empty if it does not
	changed chan struct{}
}

// supervisor keeps a connection alive: when it is lost, it makes another one, however long that takes.
type supervisor struct {
	config  Config
	name    string
	log     *zap.Logger
	metrics brokermetrics.Connection

	mu    sync.Mutex
	state state
}

func newSupervisor(b *Broker, role string, metrics brokermetrics.Connection) *supervisor {
	name := b.name + " " + role
	return &supervisor{
		config: b.config, name: name, log: b.log.With(zap.String("connection", name)), metrics: metrics,
		state: state{changed: make(chan struct{})},
	}
}

// run connects and serves, again and again, until stop ends or serve returns nil; sessions end with hard. serve
// prepares a new session, calls up, uses it, and returns why it ended.
func (s *supervisor) run(hard, stop context.Context, serve func(session *session, up func()) error) {
	const what = "no connection to the message broker; retrying"
	_ = retry.Keep(stop, reconnect, s.log, what, func(_ context.Context, up func()) error { // it only ends on purpose
		return s.once(hard, stop, serve, up)
	})
}

// once makes one connection and serves on it until it ends.
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
		s.log.Info("connected to the message broker")
		s.update(func(now *state) { now.session, now.cause = session, nil })
	})
	session.close()
	s.update(func(now *state) { *now = state{cause: err} })
	return err
}

// update changes the state and wakes everything that waits for a change.
func (s *supervisor) update(change func(*state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.state
	change(&s.state)
	s.state.changed = make(chan struct{})
	close(before.changed)
	if before.session != nil && s.state.session == nil {
		s.metrics.Losses.Inc()
	}
	if before.alarm != s.state.alarm && s.state.session != nil {
		s.log.Warn("message broker alarm changed", zap.Bool("blocked", s.state.alarm != ""), zap.String("alarm", s.state.alarm))
	}
	brokermetrics.Set(s.metrics.Connected, s.state.session != nil)
	brokermetrics.Set(s.metrics.Blocked, s.state.alarm != "")
}

// now returns the state; its channel is closed when it changes.
func (s *supervisor) now() state {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// err returns why a publisher cannot use the connection now; nil if it can.
func (s state) err() error {
	switch {
	case s.session != nil && s.session.ctx.Err() != nil: // lost, while handlers of its deliveries still finish
		return fmt.Errorf("%w: %w", message.ErrNotConnected, s.session.lost())
	case s.session == nil && s.cause != nil:
		return fmt.Errorf("%w: %w", message.ErrNotConnected, s.cause)
	case s.session == nil:
		return message.ErrNotConnected
	case s.alarm != "":
		return fmt.Errorf("%w: %s", message.ErrBlocked, s.alarm)
	default:
		return nil
	}
}
