package sqlitequeue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/brokermetrics"
	"github.com/docmill/docmill/platform/brokertrace"
	"github.com/docmill/docmill/platform/sqlite"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

type publisher struct {
	queue   *Queue
	app     string
	options message.PublisherOptions
	metrics brokermetrics.Publisher
	tracer  brokertrace.Tracer

	started chan struct{} // closed when it runs
	mu      sync.RWMutex  // guards stopped, and adding to unsettled
	stopped bool
	// unsettled counts calls of Publish.
	unsettled sync.WaitGroup
}

func newPublisher(b *Broker, options message.PublisherOptions) *publisher {
	options = options.WithDefaults()
	return &publisher{
		queue: b.queue, app: b.name, options: options, metrics: brokermetrics.NewPublisher(b.registry), tracer: brokertrace.New(system),
		started: make(chan struct{}),
	}
}

// Run implements [message.Runner]. When drain is closed, it waits for the calls of Publish that have begun.
func (p *publisher) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	close(p.started)
	p.metrics.Connected.Set(1)
	ready()
	select {
	case <-drain:
	case <-ctx.Done():
	}
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.metrics.Connected.Set(0)
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		p.unsettled.Wait()
	}()
	select {
	case <-settled:
	case <-ctx.Done():
	}
	return nil
}

// Check implements [message.Runner].
func (p *publisher) Check(ctx context.Context) error {
	select {
	case <-p.started:
	default:
		return fmt.Errorf("%w: the publisher is not running yet", message.ErrNotConnected)
	}
	p.mu.RLock()
	stopped := p.stopped
	p.mu.RUnlock()
	if stopped {
		return fmt.Errorf("%w: the publisher has stopped", message.ErrNotConnected)
	}
	err := p.queue.db.Check(ctx)
	brokermetrics.Set(p.metrics.Blocked, err != nil)
	if errors.Is(err, sqlite.ErrFull) {
		return fmt.Errorf("%w: %w", message.ErrBlocked, err)
	}
	return err
}

// Depth implements [message.Publisher].
func (p *publisher) Depth(ctx context.Context, queue message.Queue) (int, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	waiting := p.queue.progress.waiting
	if queue != message.Progress {
		dispatcher, found := p.queue.dispatchers[queue]
		if !found {
			return 0, fmt.Errorf("get the depth of %s: no such queue", queue)
		}
		waiting = dispatcher.waiting
	}
	select {
	case <-p.started:
		return waiting(), nil
	default:
		return 0, fmt.Errorf("%w: the publisher is not running yet", message.ErrNotConnected)
	}
}

// Publish implements [message.Publisher].
func (p *publisher) Publish(ctx context.Context, m message.Message) error {
	return p.metrics.Observe(func() error {
		return p.tracer.Send(ctx, m, func(ctx context.Context) error { return p.publish(ctx, m) })
	})
}

func (p *publisher) publish(ctx context.Context, m message.Message) error {
	envelope, err := message.Encode(ctx, m, p.app)
	if err != nil {
		return failure(m, message.ErrUnpublishable, err, true)
	}
	if err := p.enter(ctx); err != nil {
		return failure(m, message.ErrNotConnected, err, true)
	}
	defer p.unsettled.Done()
	queues, _ := message.QueuesFor(m)
	if slices.Contains(storedQueues, queues[0]) {
		return p.store(ctx, m, durabilityOf(m), envelope, m.Delay, queues...)
	}
	if ctx.Err() != nil {
		return failure(m, message.ErrBusy, context.Cause(ctx), true)
	}
	if queues[0] == message.Progress {
		p.queue.progress.put(delivery{Delivery: &message.Delivery{Envelope: envelope}})
		return nil
	}
	if !p.queue.announcements.announce(envelope) {
		return failure(m, message.ErrUnroutable, nil, true)
	}
	return nil
}

// Forward implements [message.Publisher]. The publication is always durable, whatever the type of the message, because the
// message in the dead-letter queue, which is acknowledged next, may be durable.
func (p *publisher) Forward(ctx context.Context, e message.Envelope, to message.Queue) error {
	return p.metrics.Observe(func() error {
		if !message.CanForward(to) {
			return failure(e, message.ErrUnpublishable, fmt.Errorf("cannot forward messages to the queue %s", to), true)
		}
		if err := p.enter(ctx); err != nil {
			return failure(e, message.ErrNotConnected, err, true)
		}
		defer p.unsettled.Done()
		return p.store(ctx, e, sqlite.Durable, e, 0, to)
	})
}

// enter waits until the publisher runs, and keeps it running until unsettled.Done is called.
func (p *publisher) enter(ctx context.Context) error {
	select {
	case <-p.started:
	default:
		timeout := time.NewTimer(p.options.Wait)
		defer timeout.Stop()
		select {
		case <-p.started:
		case <-timeout.C:
			return errors.New("the publisher is not running yet")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.stopped {
		return errors.New("the publisher has stopped")
	}
	p.unsettled.Add(1)
	return nil
}

// store stores a message. what describes it in errors.
func (p *publisher) store(
	ctx context.Context, what fmt.Stringer, durability sqlite.Durability, e message.Envelope, delay time.Duration, queues ...message.Queue,
) error {
	confirming, cancel := context.WithTimeout(ctx, p.options.ConfirmTimeout)
	defer cancel()
	// A full disk is reported at once: space rarely comes back within the time that a client waits.
	err := p.queue.enqueue(confirming, durability, e, delay, queues...)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errQueueFull):
		return failure(what, message.ErrNacked, err, true)
	case errors.Is(err, sqlite.ErrFull):
		return failure(what, message.ErrBlocked, err, true)
	case errors.Is(err, sqlite.ErrClosed):
		return failure(what, message.ErrNotConnected, err, true)
	case errors.Is(err, sqlite.ErrUnknownOutcome):
		return failure(what, message.ErrUnconfirmed, err, false)
	case confirming.Err() != nil: // the write never began
		return failure(what, message.ErrBusy, err, true)
	default: // an error of a statement: the transaction was rolled back
		return failure(what, message.ErrBlocked, err, true)
	}
}

func failure(what fmt.Stringer, kind, cause error, notEnqueued bool) error {
	return &message.PublishError{Message: what.String(), Kind: kind, Cause: cause, NotEnqueued: notEnqueued}
}

// durabilityOf returns the durability of a message: a job depends on its commands and its completion, but not on the
// reports in between.
func durabilityOf(m message.Message) sqlite.Durability {
	switch m.Body.(type) {
	case *conversionv1.ConversionStarted, *conversionv1.ConversionRetried, *conversionv1.StatusMarked:
		return sqlite.Relaxed
	default:
		return sqlite.Durable
	}
}
