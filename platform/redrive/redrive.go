// Package redrive moves dead-lettered messages back to the queue where they are processed, after an operator has fixed
// the cause.
//
// Each message is published again, and is acknowledged in its dead-letter queue only after the publication is
// confirmed. So an interruption loses no message. It may leave one in both queues, which is harmless: the consumers
// expect redeliveries.
package redrive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/retry"
)

// Settings are the settings of the command.
//
//nolint:lll // kong's tags cannot be wrapped
type Settings struct {
	Commands bool `help:"Move dead commands back to the converters, instead of dead events to the status service. Stop the status service first: it takes dead commands and fails their jobs."`
	DryRun   bool `help:"Only list the messages, at most the first 1,000."`
	Limit    int  `default:"0" help:"Maximum number of messages to move; 0 for all that are in the queue when the command starts."`
}

// Validate rejects settings that are out of range.
func (s Settings) Validate() error {
	if s.Limit < 0 {
		return fmt.Errorf("setting limit: %d is negative", s.Limit)
	}
	return nil
}

const (
	// concurrency is the number of messages that are moved at the same time. A confirmation takes milliseconds.
	concurrency = 64
	// maxListed is the maximum number of messages that a dry run holds in memory.
	maxListed = 1000
	// connecting is how long Run waits for a connection.
	connecting = 15 * time.Second
	// quiet is how long Run waits for the next message. It is longer than the maximum time of a publication (35 s).
	quiet = time.Minute
)

// Run moves the messages that are in the dead-letter queue when it starts, oldest first, and writes a line for each to
// out. It does not move those that are dead-lettered again while it runs. It returns an error if a message could not be
// moved, or if ctx ends; messages that were not moved remain in the dead-letter queue.
func (s Settings) Run(ctx context.Context, broker message.Broker, out io.Writer) error {
	from, to := message.DeadEvents, message.Events
	if s.Commands {
		from, to = message.DeadCommands, message.Returned
	}
	publisher, err := broker.NewPublisher(message.PublisherOptions{})
	if err != nil {
		return err
	}
	stopPublisher := background(ctx, publisher)
	defer stopPublisher()
	waiting, err := depth(ctx, publisher, from)
	if err != nil {
		return err
	}
	r := &run{Settings: s, out: out, publisher: publisher, to: to, want: s.count(waiting), progress: make(chan struct{}, 1)}
	if r.want > 0 {
		err = r.consume(ctx, broker, from)
	}
	verb := "moved"
	if s.DryRun {
		verb = "would move"
	}
	fmt.Fprintf(out, "%s %d of %d messages from %s to %s\n", verb, r.done, waiting, from, to)
	return err
}

// count returns the number of messages to move.
func (s Settings) count(waiting int) int {
	if s.Limit > 0 {
		waiting = min(waiting, s.Limit)
	}
	if s.DryRun {
		waiting = min(waiting, maxListed)
	}
	return waiting
}

// depth returns the number of messages in the queue. It waits until the publisher is connected.
func depth(ctx context.Context, publisher message.Publisher, queue message.Queue) (n int, err error) {
	policy := retry.Policy{Initial: 50 * time.Millisecond, Max: time.Second, GiveUp: connecting}
	err = retry.Loop(ctx, policy, zap.NewNop(), "", func(ctx context.Context) (err error) {
		n, err = publisher.Depth(ctx, queue)
		return err
	})
	return n, err
}

// background runs a publisher or consumer until stop is called; stop waits until it has ended. Work in progress is finished even
// if ctx has ended.
func background(ctx context.Context, r message.Runner) (stop func()) {
	drain, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.Run(context.WithoutCancel(ctx), func() {}, drain) // it ends when drain is closed; failures are reported for each message
	}()
	return func() {
		close(drain)
		<-ended
	}
}

// run is one run of the command.
type run struct {
	Settings

	out       io.Writer
	publisher message.Publisher
	to        message.Queue
	want      int

	stop     context.Context //nolint:containedctx // ends when no further message is to be processed
	progress chan struct{}   // signals that a message was moved, or that this failed

	mu            sync.Mutex
	started, done int
	err           error
}

func (r *run) consume(ctx context.Context, broker message.Broker, from message.Queue) error {
	var stop context.CancelFunc
	r.stop, stop = context.WithCancel(ctx)
	defer stop()
	limit := concurrency
	if r.DryRun {
		limit = r.want // all are held until the end, so that none is delivered twice
	}
	consumer, err := broker.NewConsumer(from, message.Each{Concurrency: limit, Handle: r.handle}, message.ConsumerOptions{})
	if err != nil {
		return err
	}
	stopConsumer := background(ctx, consumer)
	err = r.wait(ctx)
	stop()
	stopConsumer()
	return errors.Join(r.err, err)
}

// wait returns when all messages are moved, or no further one can be.
func (r *run) wait(ctx context.Context) error {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		r.mu.Lock()
		ended := r.done == r.want || r.err != nil
		r.mu.Unlock()
		if ended {
			return nil
		}
		select {
		case <-r.progress:
			timer.Reset(quiet)
		case <-timer.C:
			return fmt.Errorf("no message arrived within %s; another process may be moving them", quiet)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// handle moves one message. A message that is not moved remains in the dead-letter queue.
func (r *run) handle(ctx context.Context, d *message.Delivery) message.Outcome {
	if !r.begin() {
		<-r.stop.Done() // if it were requeued now, it would be redelivered at once
		return message.Requeue
	}
	if r.DryRun {
		r.end(d, nil)
		<-r.stop.Done()
		return message.Requeue
	}
	err := r.publisher.Forward(ctx, d.Envelope, r.to)
	r.end(d, err)
	if err != nil {
		<-r.stop.Done()
		return message.Requeue
	}
	return message.Ack
}

// begin reports whether another message is to be processed.
func (r *run) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started == r.want || r.err != nil || r.stop.Err() != nil {
		return false
	}
	r.started++
	return true
}

func (r *run) end(d *message.Delivery, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.err = errors.Join(r.err, err)
	} else {
		r.done++
		fmt.Fprintf(r.out, "%s %s job=%s message=%s death=%s\n",
			d.PublishedAt.UTC().Format(time.RFC3339), protoreflect.FullName(d.Type).Name(), d.JobID, d.ID, d.Death)
	}
	select {
	case r.progress <- struct{}{}:
	default:
	}
}
