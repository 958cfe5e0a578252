// Package backlog knows whether the queue accepts more jobs. A submission that the queue would reject, or that would wait for
// too long, can so be rejected before its document is received.
package backlog

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/metrics"
)

const (
	// sampling is the time between two checks of the queue.
	sampling = time.Second
	// fullFor is how long a queue that has rejected a job is considered full: the Retry-After of the rejection.
	fullFor = RetryAfter
	// relook is the least time between two checks for submissions while the queue cannot be used. In docmill serve a check is a
	// durable write when the disk is full.
	relook = 100 * time.Millisecond
	// lookTimeout limits one check of the queue.
	lookTimeout = 5 * time.Second
)

// RetryAfter is the shortest Retry-After of a submission that the queue did not accept.
const RetryAfter = 5 * time.Second

// maxRetryAfter limits the Retry-After of a long queue. Converters may be added meanwhile.
const maxRetryAfter = 5 * time.Minute

// Queue is the publishing side of the queue; see [message.Publisher].
type Queue interface {
	// Check returns nil if a message could be sent now.
	Check(ctx context.Context) error
	// Depth returns how many messages wait in a queue.
	Depth(ctx context.Context, queue message.Queue) (int, error)
}

// Limits are those of the queue.
type Limits struct {
	// Commands is the number of waiting commands at which no more jobs are accepted.
	Commands int
	// Wait is the longest time that a new job may have to wait, at the current rate of the converters.
	Wait time.Duration
}

// Backlog is what is known about the queue. It is safe for concurrent use. It is a component of package host.
type Backlog struct {
	queue  Queue
	limits Limits
	// rate returns how many jobs the converters end per second; 0 if that is not known.
	rate func() float64
	log  *zap.Logger

	mu sync.Mutex
	// down is why the queue cannot be used; nil if it can. A connection that is lost for less than the time between two
	// checks is not noticed here: submissions wait for the new connection.
	down error
	// askedAt is when a submission last caused a check.
	askedAt time.Time
	// lost is set if the connection was lost at the last check.
	lost bool
	// depth is how many commands wait, new ones and returned ones; 0 if that is not known.
	depth int
	// fullUntil is until when the queue is considered full.
	fullUntil time.Time
}

// New returns the backlog of a queue. The function rate returns how many jobs the converters end per second, and 0 if that
// is not known: only the number of commands is limited then.
func New(queue Queue, limits Limits, rate func() float64, log *zap.Logger, registry prometheus.Registerer) *Backlog {
	b := &Backlog{queue: queue, limits: limits, rate: rate, log: log}
	gauge := func(name, help string, value func() float64) {
		options := prometheus.GaugeOpts{Namespace: metrics.Namespace, Subsystem: "gateway", Name: name, Help: help}
		registry.MustRegister(prometheus.NewGaugeFunc(options, value))
	}
	gauge("queue_depth", "Commands that wait for a converter.", func() float64 { return float64(b.waiting()) })
	gauge("queue_wait_seconds", "How long a new job will wait, at the current rate of the converters; 0 if that is not known.",
		func() float64 { return b.wait(b.waiting()).Seconds() })
	return b
}

// waiting returns how many commands wait.
func (b *Backlog) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.depth
}

// wait returns how long that many commands take; 0 if that is not known.
func (b *Backlog) wait(commands int) time.Duration {
	rate := b.rate()
	if rate <= 0 {
		return 0
	}
	const longest = 1000 * 24 * time.Hour // far from an overflow
	return time.Duration(min(float64(commands)/rate, longest.Seconds()) * float64(time.Second))
}

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
	down, full, depth := b.down, time.Until(b.fullUntil), b.depth
	b.mu.Unlock()
	switch {
	case down != nil && b.lookAgain(ctx) != nil:
		return Unavailable(RetryAfter).Because(down)
	case full > 0:
		return Unavailable(full).Because(message.ErrNacked)
	case depth >= b.limits.Commands:
		return b.overloaded(b.wait(depth - b.limits.Commands))
	case b.wait(depth) > b.limits.Wait:
		return b.overloaded(b.wait(depth) - b.limits.Wait)
	default:
		return nil
	}
}

// Unavailable returns the problem of a submission that the queue does not accept.
func Unavailable(retryAfter time.Duration) *problem.Error {
	return problem.New(problem.QueueUnavailable, "The queue accepts no jobs at present.").After(retryAfter)
}

// overloaded returns the problem of a submission to a queue that is too long for that time.
func (b *Backlog) overloaded(excess time.Duration) *problem.Error {
	retryAfter := min(max(excess, RetryAfter), maxRetryAfter)
	return problem.New(problem.QueueUnavailable, "Too many jobs are waiting already.").After(retryAfter)
}

// Run checks the queue until drain is closed. It is a component of package host.
func (b *Backlog) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	return host.Every(sampling, func(ctx context.Context) {
		if b.look(ctx) == nil {
			b.measure(ctx)
		}
	})(ctx, ready, drain)
}

// look updates whether the queue can be used. A lost connection counts only at the second check in a row, because most are
// restored within milliseconds. It returns why the queue cannot be used.
func (b *Backlog) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
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

// lookAgain is look, at most once per relook: otherwise it returns what is known.
func (b *Backlog) lookAgain(ctx context.Context) error {
	b.mu.Lock()
	down, recent := b.down, time.Since(b.askedAt) < relook
	if !recent {
		b.askedAt = time.Now()
	}
	b.mu.Unlock()
	if recent {
		return down
	}
	return b.look(context.WithoutCancel(ctx)) // the result is for all requests, whichever of them ends
}

// measure updates how many commands wait.
func (b *Backlog) measure(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	total := 0
	for _, queue := range []message.Queue{message.Commands, message.Returned} {
		depth, err := b.queue.Depth(ctx, queue)
		if err != nil {
			b.log.Debug("the depth of a queue is unknown", zap.Stringer("queue", queue), zap.Error(err))
		}
		total += depth
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.depth = total
}
