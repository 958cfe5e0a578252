// Package dispatch sends the webhooks that the job store has enqueued. Any number of replicas may share the work.
package dispatch

import (
	"context"
	"errors"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
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
	// promptly is the maximum duration of an attempt to a receiver that counts as prompt.
	promptly = time.Second
	// slowPerReceiver is the maximum number of concurrent attempts to a receiver that is not known to be prompt.
	slowPerReceiver = 2
	// maxPrompt is how many prompt receivers are remembered. They take a few megabytes.
	maxPrompt = 10_000
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

	// quick is for prompt receivers, and slow for all others, including unknown ones.
	quick, slow lane
	// prompt are the receivers that answered the latest attempt promptly. An answer that rejects the webhook counts as well: a wrong
	// path in the URL of one job must not delay the webhooks of other jobs to the same receiver.
	prompt *lru.Cache[string, struct{}]
	// reading is how long the latest passes have read receivers.
	reading time.Duration

	mu       sync.Mutex
	active   map[string]int // attempts by receiver
	attempts int
	freed    chan struct{}
}

// lane is one of the two kinds of receivers. Clients can make up any number of slow ones, and each attempt to one may take until the
// timeout. So slow receivers get at most half of all attempts.
type lane struct {
	// limit is how many attempts are made at the same time, and perReceiver how many of them to the same receiver.
	limit, perReceiver int
	// cursor is the receiver that was visited last, so that all receivers get their turn.
	cursor string

	attempts int // guarded by the mutex of the dispatcher
}

// New returns a dispatcher.
func New(config Config, store jobstore.Deliveries, sender Sender, log *zap.Logger, metrics *Metrics) *Dispatcher {
	prompt, _ := lru.New[string, struct{}](maxPrompt) // fails only without a size
	return &Dispatcher{
		config: config, store: store, sender: sender, log: log, metrics: metrics, prompt: prompt,
		quick:  lane{limit: config.Total, perReceiver: config.PerReceiver},
		slow:   lane{limit: max(config.Total/2, 1), perReceiver: min(config.PerReceiver, slowPerReceiver)}, //nolint:mnd // half
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
		err := d.passes(leasing, func(lane *lane, l delivery.Leased) { attempts.Go(func() { d.attempt(ctx, lane, l) }) })
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

// passes goes through all receivers once. If the slow lane is full, it makes a second pass for the prompt receivers.
func (d *Dispatcher) passes(ctx context.Context, start func(*lane, delivery.Leased)) error {
	d.reading = 0
	complete, err := d.pass(ctx, &d.slow, start)
	if err == nil && !complete {
		_, err = d.pass(ctx, &d.quick, start)
	}
	return err
}

// pass goes through the receivers once, beginning after the one that the lane has visited last, and starts as many attempts as the
// limits allow. It ends early if the lane has no room.
func (d *Dispatcher) pass(ctx context.Context, l *lane, start func(*lane, delivery.Leased)) (complete bool, err error) {
	first, wrapped := l.cursor, false
	for d.free(l, "") > 0 {
		began := time.Now()
		page, err := d.store.Receivers(ctx, l.cursor, pageSize)
		d.reading += time.Since(began)
		if err != nil {
			return false, err
		}
		for _, r := range page {
			if wrapped && r.Name > first {
				return true, nil
			}
			if d.free(l, "") == 0 {
				return false, nil
			}
			l.cursor = r.Name
			if err := d.serve(ctx, r, start); err != nil {
				return false, err
			}
		}
		if len(page) == pageSize {
			continue
		}
		if l.cursor = ""; wrapped || first == "" {
			return true, nil
		}
		wrapped = true
	}
	return false, nil
}

// serve starts attempts to one receiver.
func (d *Dispatcher) serve(ctx context.Context, r jobstore.Receiver, start func(*lane, delivery.Leased)) error {
	l := &d.slow
	if d.prompt.Contains(r.Name) {
		l = &d.quick
	}
	free := d.free(l, r.Name)
	if !r.Due || free <= 0 { // negative if it was prompt until now
		return nil
	}
	leased, err := d.store.LeaseDeliveries(ctx, r.Name, free, d.config.Timeout+settleFor+leaseMargin)
	for _, one := range leased {
		d.count(l, r.Name, 1)
		start(l, one)
	}
	return err
}

// free returns how many more attempts to a receiver of a lane may be started, or, for "", how many to all of them.
func (d *Dispatcher) free(l *lane, receiver string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	free := min(d.config.Total-d.attempts, l.limit-l.attempts)
	if receiver != "" {
		free = min(free, l.perReceiver-d.active[receiver])
	}
	return free
}

func (d *Dispatcher) count(l *lane, receiver string, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attempts += n
	l.attempts += n
	if d.active[receiver] += n; d.active[receiver] == 0 {
		delete(d.active, receiver)
	}
}

// note remembers whether a receiver has answered promptly.
func (d *Dispatcher) note(receiver string, attempt delivery.Attempt) {
	if attempt.StatusCode != 0 && attempt.Duration <= promptly {
		d.prompt.Add(receiver, struct{}{})
	} else {
		d.prompt.Remove(receiver)
	}
}

// attempt makes one attempt and settles it.
func (d *Dispatcher) attempt(ctx context.Context, from *lane, l delivery.Leased) {
	defer func() {
		d.count(from, l.Receiver, -1)
		select {
		case d.freed <- struct{}{}:
		default:
		}
	}()
	attempt, err := d.sender.Send(ctx, l.Delivery)
	settlement := l.After(attempt)
	outcome := string(settlement.State)
	if ctx.Err() == nil || err == nil {
		d.note(l.Receiver, attempt)
	}
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
