package broker

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// PublisherOptions say who publishes and how long that may take. Zero values stand for the defaults.
type PublisherOptions struct {
	// Name is the service's name: it becomes the messages' app id and part of the connection's name at the broker.
	Name string
	// Wait is how long Publish waits until its message can be sent: for a connection, for the end of an alarm, for its
	// turn. 5 s by default, which covers the restart of a connection but not of a broker.
	Wait time.Duration
	// ConfirmTimeout is how long Publish waits for the confirm of a message that was sent. 30 s by default.
	ConfirmTimeout time.Duration
	// InFlight bounds the messages that are sent and unconfirmed, given up ones included. 1,024 by default.
	InFlight int
	// Log is told about connections. Required.
	Log *zap.Logger
	// Metrics takes the publisher's metrics; nil takes none.
	Metrics prometheus.Registerer
}

func (o PublisherOptions) withDefaults() PublisherOptions {
	if o.Wait == 0 {
		o.Wait = 5 * time.Second
	}
	if o.ConfirmTimeout == 0 {
		o.ConfirmTimeout = 30 * time.Second
	}
	if o.InFlight == 0 {
		o.InFlight = 1024
	}
	return o
}

// Publisher publishes messages and knows what became of them. It is safe for concurrent use, and is meant to be used by
// many goroutines at once: each waits for its own confirm.
type Publisher struct {
	options    PublisherOptions
	supervisor *supervisor
	metrics    publisherMetrics
	// slots holds one entry for each message that is sent and unconfirmed. A message that its caller has given up keeps
	// its entry until the broker has answered or the connection is lost: that bounds what waits in the library.
	slots chan struct{}
	// outbox leads to the connection of the moment. It is unbuffered: a message that is in it was taken by a
	// connection, and one that is not was surely not sent.
	outbox  chan *flight
	stopped chan struct{}
}

// NewPublisher makes a publisher. It connects when it runs.
func NewPublisher(config Config, options PublisherOptions) (*Publisher, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	options = options.withDefaults()
	const role = "publisher"
	factory := labelled(options.Metrics, role)
	return &Publisher{
		options:    options,
		supervisor: newSupervisor(config, options.Name+" "+role, options.Log, newConnectionMetrics(factory)),
		metrics:    newPublisherMetrics(factory),
		slots:      make(chan struct{}, options.InFlight),
		outbox:     make(chan *flight),
		stopped:    make(chan struct{}),
	}, nil
}

// Run keeps the publisher connected until drain is closed; then it sends nothing more, waits for the confirms that are
// still due and returns nil. It calls ready at once and not when there is a connection: a service does whatever it can
// without the broker, and Check says the rest. Run is called once; it is a part of package host.
func (p *Publisher) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	defer close(p.stopped)
	stop, cancel := stopping(ctx, drain)
	defer cancel()
	ready()
	p.supervisor.run(ctx, stop, func(s *session, up func()) error { return p.serve(s, up, stop) })
	return nil
}

// Check returns nil when a message could be sent now, and otherwise ErrNotConnected or ErrBlocked.
func (p *Publisher) Check(context.Context) error { return p.supervisor.now().err() }

// Publish sends a message and returns nil when every queue that is bound for it holds it on disk. All its errors are
// those of this package, told apart with errors.Is; Absent says which of them leave nothing behind. It returns at the
// latest when ctx ends.
func (p *Publisher) Publish(ctx context.Context, m Message) error {
	began := time.Now()
	p.metrics.inFlight.Inc()
	defer p.metrics.inFlight.Dec()
	err := p.publish(ctx, m)
	p.metrics.duration.WithLabelValues(outcomeOf(err)).Observe(time.Since(began).Seconds())
	return err
}

func (p *Publisher) publish(ctx context.Context, m Message) error {
	exchange, key, err := m.route()
	if err != nil {
		return &publishError{what: m.what(), kind: ErrUnpublishable, cause: err, absent: true}
	}
	publishing, err := m.publishing(ctx, p.options.Name)
	if err != nil {
		return &publishError{what: m.what(), kind: ErrUnpublishable, cause: err, absent: true}
	}
	waiting, cancel := context.WithTimeout(ctx, p.options.Wait)
	defer cancel()
	for {
		f := &flight{exchange: exchange, key: key, publishing: publishing, settled: make(chan struct{})}
		if err := p.handOver(waiting, f); err != nil {
			return &publishError{what: m.what(), kind: err, cause: context.Cause(waiting), absent: true}
		}
		if err := p.outcome(ctx, m, f); !errors.Is(err, errUnsent) {
			return err
		}
		// The connection was lost before the message was written: the next one may have it.
	}
}

// handOver gives the message to the connection of the moment, as soon as there is one that takes messages. On an error it
// surely was not sent.
func (p *Publisher) handOver(waiting context.Context, f *flight) error {
	if waiting.Err() != nil {
		return p.hindrance()
	}
	select {
	case p.slots <- struct{}{}:
	case <-waiting.Done():
		return p.hindrance()
	case <-p.stopped:
		return ErrNotConnected
	}
	select {
	case p.outbox <- f:
		return nil // whoever took it gives the slot back
	case <-waiting.Done():
	case <-p.stopped:
	}
	<-p.slots
	return p.hindrance()
}

// hindrance says why a message could not be sent.
func (p *Publisher) hindrance() error {
	if err := p.supervisor.now().err(); err != nil {
		return err
	}
	return ErrBusy
}

// outcome waits for what becomes of a message that was handed over.
func (p *Publisher) outcome(ctx context.Context, m Message, f *flight) error {
	timeout := time.NewTimer(p.options.ConfirmTimeout)
	defer timeout.Stop()
	select {
	case <-f.settled:
		if f.kind == nil {
			return nil
		}
		return &publishError{what: m.what(), kind: f.kind, cause: f.cause, absent: f.absent()}
	case <-ctx.Done():
		return &publishError{what: m.what(), kind: ErrUnconfirmed, cause: context.Cause(ctx)}
	case <-timeout.C:
		return &publishError{what: m.what(), kind: ErrUnconfirmed, cause: context.DeadlineExceeded}
	}
}

// outcomes are the values of the metric's label.
func outcomeOf(err error) string {
	switch {
	case err == nil:
		return "confirmed"
	case errors.Is(err, ErrNotConnected):
		return "not_connected"
	case errors.Is(err, ErrBlocked):
		return "blocked"
	case errors.Is(err, ErrBusy):
		return "busy"
	case errors.Is(err, ErrUnroutable):
		return "unroutable"
	case errors.Is(err, ErrNacked):
		return "nacked"
	case errors.Is(err, ErrUnconfirmed):
		return "unconfirmed"
	default:
		return "unpublishable"
	}
}
