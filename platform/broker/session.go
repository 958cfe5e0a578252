package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/docmill/docmill/platform/topology"
)

// Bounds on what a broker that hangs can hold up.
const (
	// dialTimeout bounds the TCP, TLS and AMQP handshakes together.
	dialTimeout = 10 * time.Second
	// heartbeat: a broker that has been silent for three of them (30 s) is taken for dead.
	heartbeat = 10 * time.Second
	// writeTimeout bounds each write to the socket: the library's publish obeys no context while it writes, and a peer
	// that has vanished without a word is noticed by TCP only after about 15 minutes.
	writeTimeout = 10 * time.Second
	// closeTimeout bounds the closing handshake.
	closeTimeout = 2 * time.Second
)

// errClosed is the cause of a session's end that was wanted.
var errClosed = errors.New("closed")

// session is one connection with one channel on it, from its birth to the first thing that goes wrong. It is never
// repaired: a channel's delivery tags and confirms mean nothing on another one.
type session struct {
	// ctx ends with the cause when the session can no longer be used.
	ctx     context.Context //nolint:containedctx // the session is this lifetime
	lose    context.CancelCauseFunc
	socket  net.Conn
	conn    *amqp.Connection
	channel *amqp.Channel
	gone    chan struct{} // closed when nothing of it is left
}

// deadlineConn gives each write a deadline.
type deadlineConn struct{ net.Conn }

func (c deadlineConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// dial connects under a name that the broker's management page shows, opens a channel and declares the topology. When
// ctx ends, the session is abandoned without a word to the broker.
func dial(ctx context.Context, config Config, name string) (*session, error) {
	s := &session{gone: make(chan struct{})}
	s.ctx, s.lose = context.WithCancelCause(ctx)
	if err := s.open(ctx, config, name); err != nil {
		s.lose(err)
		if s.socket != nil {
			_ = s.socket.Close()
		}
		return nil, err
	}
	return s, nil
}

func (s *session) open(ctx context.Context, config Config, name string) (err error) {
	s.conn, err = amqp.DialConfig(config.URL, amqp.Config{
		SASL:       []amqp.Authentication{&amqp.PlainAuth{Username: config.Username, Password: config.Password.Reveal()}},
		Heartbeat:  heartbeat,
		Locale:     "en_US",
		Properties: amqp.Table{"product": "Docmill", "connection_name": name},
		Dial:       func(network, address string) (net.Conn, error) { return s.dial(ctx, network, address) },
		Recovery:   nil, // see the package's comment
	})
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	if s.channel, err = s.conn.Channel(); err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	return topology.Declare(s.channel)
}

// dial is what the library uses to reach the broker. The deadline covers the handshakes; the library lifts it after them.
func (s *session) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	socket, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if err := socket.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	s.socket = deadlineConn{socket}
	// Frees everybody who waits in the library for an answer or a write.
	context.AfterFunc(ctx, func() { _ = socket.Close() })
	return s.socket, nil
}

// watch ends the session on the first sign of trouble and then closes its connection, which gives what is unacknowledged
// on it back to its queue. Until then it tells alarm about the broker's alarms: why it blocks, or "" when it no longer does.
func (s *session) watch(alarm func(reason string)) {
	connection := s.conn.NotifyClose(make(chan *amqp.Error, 1))
	channel := s.channel.NotifyClose(make(chan *amqp.Error, 1))
	canceled := s.channel.NotifyCancel(make(chan string, 1))
	blocked := s.conn.NotifyBlocked(make(chan amqp.Blocking, 8))
	go func() {
		defer close(s.gone)
		for s.ctx.Err() == nil {
			select {
			case <-s.ctx.Done():
			case err := <-connection:
				s.lose(closed("connection", err))
			case err := <-channel:
				s.lose(closed("channel", err))
			case consumer, open := <-canceled:
				if open {
					s.lose(fmt.Errorf("the broker canceled the subscription %s", consumer))
				}
				canceled = nil // closed with the channel: its own notice says why
			case b, open := <-blocked:
				switch {
				case !open:
					blocked = nil // the connection closed: its own notice follows
				case b.Active:
					alarm(b.Reason)
				default:
					alarm("")
				}
			}
		}
		_ = s.conn.CloseDeadline(time.Now().Add(closeTimeout)) // fails on a broken one, and closes it all the same
		_ = s.socket.Close()
	}()
}

func closed(what string, err *amqp.Error) error {
	if err == nil {
		return fmt.Errorf("%s: %w", what, errClosed)
	}
	return fmt.Errorf("%s closed: %w", what, err)
}

// lost says why the session ended; it is called when it has, or is just about to.
func (s *session) lost() error {
	<-s.ctx.Done()
	return context.Cause(s.ctx)
}

// cause is why the session ended; nil while it has not.
func (s *session) cause() error { return context.Cause(s.ctx) }

// close says goodbye to the broker, within closeTimeout, and returns when nothing of the session is left.
func (s *session) close() {
	s.lose(errClosed)
	<-s.gone
}
