package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Limits on how long a broker that hangs can block.
const (
	// dialTimeout bounds the TCP, TLS and AMQP handshakes together.
	dialTimeout = 10 * time.Second
	// heartbeat: a broker that is silent for three of them (30 s) is considered dead.
	heartbeat = 10 * time.Second
	// writeTimeout bounds each write to the socket: the library's publish ignores contexts while it writes, and TCP
	// takes about 15 minutes to detect that a peer is gone.
	writeTimeout = 10 * time.Second
	// closeTimeout bounds the closing handshake.
	closeTimeout = 2 * time.Second
)

// errClosed is the cause of a session that was ended on purpose.
var errClosed = errors.New("closed")

// session is one connection with a channel on it, and a second one for a publisher, until the first thing goes wrong.
// It is never repaired: a channel's delivery tags and confirms mean nothing on another channel.
type session struct {
	// ctx ends with the cause when the session can no longer be used.
	ctx     context.Context //nolint:containedctx // the session is this lifetime
	lose    context.CancelCauseFunc
	socket  net.Conn
	conn    *amqp.Connection
	channel *amqp.Channel
	gone    chan struct{} // closed when the connection is closed
}

// deadlineConn sets a deadline for each write.
type deadlineConn struct{ net.Conn }

func (c deadlineConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// dial connects with a name that the broker's management page shows, opens a channel and declares the topology. When
// ctx ends, the session is abandoned without a closing handshake.
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
		Recovery:   nil, // see the package comment
	})
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	if s.channel, err = s.conn.Channel(); err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	return Declare(s.channel)
}

// dial opens the socket for the library. The deadline covers the handshakes; the library removes it after them.
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
	// Unblocks everything in the library that waits for an answer or a write.
	context.AfterFunc(ctx, func() { _ = socket.Close() })
	return s.socket, nil
}

// watch ends the session at the first sign of trouble and then closes its connection, which returns what is
// unacknowledged on it to its queue. Until then it calls alarm with why the broker blocks, or with "" when it no
// longer does.
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
				canceled = nil // closed with the channel, whose own notice has the reason
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
		_ = s.conn.CloseDeadline(time.Now().Add(closeTimeout)) // closes it even if it fails because the connection is broken
		_ = s.socket.Close()
	}()
}

// secondChannel opens another channel. The session ends with it.
func (s *session) secondChannel() (*amqp.Channel, error) {
	channel, err := s.conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open a second channel: %w", err)
	}
	notice := channel.NotifyClose(make(chan *amqp.Error, 1))
	go func() { s.lose(closed("second channel", <-notice)) }()
	return channel, nil
}

func closed(what string, err *amqp.Error) error {
	if err == nil {
		return fmt.Errorf("%s: %w", what, errClosed)
	}
	return fmt.Errorf("%s closed: %w", what, err)
}

// lost waits for the end of the session and returns the reason. It is called when the session has ended or is about to.
func (s *session) lost() error {
	<-s.ctx.Done()
	return context.Cause(s.ctx)
}

// close performs the closing handshake, within closeTimeout, and returns when the connection is closed.
func (s *session) close() {
	s.lose(errClosed)
	<-s.gone
}
