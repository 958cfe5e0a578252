// Package backlog knows whether the queue takes more jobs, so that a submission that it would reject is refused before its
// document is received.
package backlog

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
)

const (
	// sampling is the time between two looks at the queue.
	sampling = time.Second
	// fullFor is how long a queue that has rejected a job is considered full: the Retry-After of the rejection.
	fullFor = 5 * time.Second
	// checkTimeout limits one look at the queue.
	checkTimeout = 5 * time.Second
)

// RetryAfter is when a submission should be repeated that the queue did not accept.
const RetryAfter = 5 * time.Second

// Queue is the publishing side of the queue; see [message.Publisher].
type Queue interface {
	// Check returns nil if a message could be sent now.
	Check(ctx context.Context) error
}

// Backlog is what is known about the queue. It is safe for concurrent use. It is a component of package host.
type Backlog struct {
	queue Queue

	mu sync.Mutex
	// down is why the queue cannot be used; nil if it can. A connection that is lost for less than a sample is not
	// noticed here: a submission waits for the next one.
	down error
	// lost is set if the connection was lost at the last sample.
	lost bool
	// fullUntil is until when the queue is considered full.
	fullUntil time.Time
}

// New returns the backlog of a queue.
func New(queue Queue) *Backlog { return &Backlog{queue: queue} }

// Rejected notes that the queue has rejected a job because it is full.
func (b *Backlog) Rejected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fullUntil = time.Now().Add(fullFor)
}

// Check returns nil if a job may be submitted now, and otherwise a problem. It does not use the network, except to notice at
// once that the queue is available again.
func (b *Backlog) Check(ctx context.Context) error {
	b.mu.Lock()
	down, full := b.down, time.Until(b.fullUntil)
	b.mu.Unlock()
	switch {
	case down != nil && b.look(context.WithoutCancel(ctx)) != nil: // it concerns the others too
		return Unavailable(RetryAfter).Because(down)
	case full > 0:
		return Unavailable(full).Because(message.ErrNacked)
	default:
		return nil
	}
}

// Unavailable returns the problem of a submission that the queue does not accept.
func Unavailable(retryAfter time.Duration) *problem.Error {
	return problem.New(problem.QueueUnavailable, "The queue accepts no jobs at present.").After(retryAfter)
}

// Run looks at the queue until drain is closed.
func (b *Backlog) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	ready()
	clock := time.NewTicker(sampling)
	defer clock.Stop()
	for {
		select {
		case <-clock.C:
			_ = b.look(ctx)
		case <-drain:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// look updates what is known about the queue. A connection must be lost at two looks in a row, because most are back
// within milliseconds. It returns why the queue cannot be used.
func (b *Backlog) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := b.queue.Check(ctx)
	lost := errors.Is(err, message.ErrNotConnected)
	b.mu.Lock()
	defer b.mu.Unlock()
	if !lost || b.lost {
		b.down = err
	}
	b.lost = lost
	return b.down
}
