// Package dispatch sends the webhooks that the job store has enqueued. Any number of replicas may share the work.
package dispatch

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/platform/retry"
	"github.com/docmill/docmill/services/status/delivery"
	"github.com/docmill/docmill/services/status/jobstore"
)

// Sender makes one attempt to send a webhook. It returns the outcome and, for the log, the reason of a failure.
type Sender interface {
	Send(ctx context.Context, d delivery.Delivery) (delivery.Attempt, error)
}

// Config has the limits of a dispatcher.
type Config struct {
	// Total is how many attempts are made at the same time, and PerReceiver how many of them to the same receiver.
	Total, PerReceiver int
	// Timeout is the longest time of one attempt.
	Timeout time.Duration
	// Every is the time between two looks for deliveries that other replicas have enqueued, or that are due again.
	Every time.Duration
}

const (
	// minPause is the time between two requests for deliveries, so that a busy store is asked for several at once.
	minPause = 10 * time.Millisecond
	// pageSize is how many receivers are read at once: about a millisecond of the database.
	pageSize = 200
	// costShare bounds the time for reading receivers: the pause after it is so many times as long, up to maxPause. Clients can make up
	// any number of receivers that nobody reaches, which are read for three days; 100,000 take about a second.
	costShare = 9
	maxPause  = time.Minute
	// settleFor is how long the dispatcher tries to store the outcome of an attempt. If that fails, the attempt is made again.
	settleFor = 20 * time.Second
	// leaseMargin is added to the time for an attempt and its settlement: clocks drift, and processes are paused.
	leaseMargin = 10 * time.Second
)

// Dispatcher sends webhooks.
type Dispatcher struct {
	config  Config
	store   jobstore.Deliveries
	sender  Sender
	log     *zap.Logger
	metrics *Metrics

	// cursor is the receiver that was served last, so that all receivers get their turn.
	cursor string
	// reading is how long the latest pass has read receivers.
	reading time.Duration

	mu       sync.Mutex
	active   map[string]int // attempts by receiver
	attempts int
	freed    chan struct{}
}

// New returns a dispatcher.
func New(config Config, store jobstore.Deliveries, sender Sender, log *zap.Logger, metrics *Metrics) *Dispatcher {
	return &Dispatcher{
		config: config, store: store, sender: sender, log: log, metrics: metrics,
		active: map[string]int{}, freed: make(chan struct{}, 1),
	}
}

// Run sends webhooks until drain is closed, and then finishes those that it is sending. It is a component of package host, and
// must stop before the store.
func (d *Dispatcher) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	ready()
	var attempts sync.WaitGroup
	defer attempts.Wait()
	leasing, stop := host.Context(ctx, drain)
	defer stop()
	clock := time.NewTicker(d.config.Every)
	defer clock.Stop()
	troubled := false
	for leasing.Err() == nil {
		err := d.pass(leasing, func(l delivery.Leased) { attempts.Go(func() { d.attempt(ctx, l) }) })
		if failing := err != nil && !errors.Is(err, jobstore.ErrNotReady) && leasing.Err() == nil; failing != troubled {
			if troubled = failing; failing {
				d.log.Warn("cannot read the webhooks; retrying", zap.Error(err))
			}
		}
		select {
		case <-time.After(min(max(minPause, costShare*d.reading), maxPause)):
		case <-leasing.Done():
			return nil
		}
		select {
		case <-d.store.Enqueued():
		case <-d.freed:
		case <-clock.C:
		case <-leasing.Done():
		}
	}
	return nil
}

// pass goes through the receivers once, beginning after the one that was served last, and starts as many attempts as the limits allow.
func (d *Dispatcher) pass(ctx context.Context, start func(delivery.Leased)) error {
	first, wrapped := d.cursor, false
	d.reading = 0
	for {
		began := time.Now()
		page, err := d.store.Receivers(ctx, d.cursor, pageSize)
		d.reading += time.Since(began)
		if err != nil {
			return err
		}
		for _, r := range page {
			if d.free("") == 0 || wrapped && r.Name > first {
				return nil
			}
			d.cursor = r.Name
			if err := d.serve(ctx, r, start); err != nil {
				return err
			}
		}
		if len(page) == pageSize {
			continue
		}
		if d.cursor = ""; wrapped || first == "" {
			return nil
		}
		wrapped = true
	}
}

// serve starts attempts to one receiver.
func (d *Dispatcher) serve(ctx context.Context, r jobstore.Receiver, start func(delivery.Leased)) error {
	free := d.free(r.Name)
	if !r.Due || free == 0 {
		return nil
	}
	leased, err := d.store.LeaseDeliveries(ctx, r.Name, free, d.config.Timeout+settleFor+leaseMargin)
	for _, l := range leased {
		d.count(r.Name, 1)
		start(l)
	}
	return err
}

// free returns how many more attempts to a receiver may be started, or, for "", how many in total.
func (d *Dispatcher) free(receiver string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	free := d.config.Total - d.attempts
	if receiver != "" {
		free = min(free, d.config.PerReceiver-d.active[receiver])
	}
	return free
}

func (d *Dispatcher) count(receiver string, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attempts += n
	if d.active[receiver] += n; d.active[receiver] == 0 {
		delete(d.active, receiver)
	}
}

// attempt makes one attempt and settles it.
func (d *Dispatcher) attempt(ctx context.Context, l delivery.Leased) {
	defer func() {
		d.count(l.Receiver, -1)
		select {
		case d.freed <- struct{}{}:
		default:
		}
	}()
	attempt, err := d.sender.Send(ctx, l.Delivery)
	settlement := l.After(attempt)
	outcome := string(settlement.State)
	switch {
	case err == nil:
	case ctx.Err() != nil: // the process stops before the attempt has ended
		settlement, outcome = l.Released(), released
	case settlement.State == delivery.Pending:
		outcome = failed
		d.log.Info("webhook was not accepted; retrying", d.facts(l, zap.Error(err), zap.Duration("delay", settlement.Delay))...)
	default:
		d.log.Warn("webhook was not accepted; giving up", d.facts(l, zap.Error(err), zap.Int("failures", settlement.Failures))...)
	}
	d.metrics.observe(outcome, attempt)
	d.settle(ctx, l, settlement)
}

// settle stores the outcome of an attempt, even while the process stops.
func (d *Dispatcher) settle(ctx context.Context, l delivery.Leased, settlement delivery.Settlement) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	policy := retry.Policy{Initial: 100 * time.Millisecond, Max: 5 * time.Second}
	err := retry.Loop(ctx, policy, d.log, "cannot store the outcome of a webhook; retrying", func(ctx context.Context) error {
		return d.store.SettleDelivery(ctx, settlement)
	})
	if err != nil {
		d.log.Warn("the outcome of a webhook was not stored; it may be sent again", d.facts(l, zap.Error(err))...)
	}
}

// facts are the fields of the log. The URL is not among them, because it may contain a token.
func (d *Dispatcher) facts(l delivery.Leased, more ...zap.Field) []zap.Field {
	return append([]zap.Field{
		logging.JobID(l.Job.String()), zap.String("webhook_id", l.ID()), zap.String("receiver", l.Host()),
	}, more...)
}
