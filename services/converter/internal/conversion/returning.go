package conversion

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/converter/internal/phase"
)

const (
	// suspectAfter is the number of losses that make a command a suspect: its document may kill converters. A single loss
	// is usually due to a restart, or to a document that was converted at the same time.
	suspectAfter = 2
	// maxLosses is the number of losses that a job survives. The later ones happened in isolation, minutes apart.
	maxLosses = 6
)

// lost reports whether the document may kill converters.
func (a *attempt) lost() bool { return a.command.GetLosses() >= suspectAfter }

// suspected reports whether the document must be converted in isolation: it may kill converters, or disturb other jobs.
func (a *attempt) suspected() bool {
	return a.lost() || a.command.GetUncertainFailures() >= isolateAfter
}

// separate publishes a suspect whose delivery was lost again, with a delay. So commands that were lost together are not
// redelivered together, and none reaches the delivery limit of its queue because of another one. The job fails if its
// command was lost too often.
func (a *attempt) separate(ctx context.Context) error {
	losses := int(a.command.GetLosses())
	if losses > maxLosses {
		return a.fail(ctx, problem.New(problem.AttemptsExhausted,
			"The converter died or lost its connection %d times while it converted the document.", losses))
	}
	if err := a.spread(ctx); err != nil {
		return err
	}
	delay := message.DelayAfter(losses - suspectAfter + 1)
	a.log.Warn("the command was lost repeatedly; postponing it", a.facts(zap.Int("losses", losses), zap.Duration("delay", delay))...)
	return a.events.returned(ctx, a.command, delay)
}

// maxSpread is shorter than the shortest delay of a retry, and longer than most conversions.
const maxSpread = 5 * time.Second

// spread waits for a random time, so that commands that were lost together are not published, and delivered, together.
func (a *attempt) spread(ctx context.Context) error {
	ctx, stop := a.whileRunning(ctx)
	defer stop()
	timer := time.NewTimer(rand.N(maxSpread)) //nolint:gosec // it need not be secret
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// errStopping means that the converter stops.
var errStopping = errors.New("the converter is stopping")

// whileRunning returns a copy of ctx that also ends, with the cause errStopping, when the converter begins to stop.
func (a *attempt) whileRunning(ctx context.Context) (context.Context, context.CancelFunc) {
	running, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-a.Stopping:
			cancel(errStopping)
		case <-running.Done():
		}
	}()
	return running, func() { cancel(nil) }
}

// returnTimeout limits returnCommand: less than the message.AbandonGrace.
const returnTimeout = message.AbandonGrace * 3 / 4

// returnCommand publishes the command again for other converters, because this one stops. Unlike a requeue before RabbitMQ 4.3,
// that does not count as a delivery. It also works after ctx has ended.
func (a *attempt) returnCommand(ctx context.Context, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), returnTimeout)
	defer cancel()
	if err := a.events.returned(ctx, a.command, 0); err != nil {
		return fmt.Errorf("%w; cannot publish its command: %w", cause, err)
	}
	a.log.Info("attempt abandoned; its command was published again", zap.Error(cause))
	return nil
}

// hold keeps a delivery that cannot be completed before it is returned to its queue: not if it is the first one of its
// command, then for a sixth of the DeliveryTimeout (about 5 minutes), and longer with each delivery. Each return counts
// as a delivery, before RabbitMQ 4.3, and makes another copy if a command was published without a confirmation. If the
// queue of the returned commands has no majority, the command would be dead within minutes otherwise; with it, after 45
// minutes. A hold occupies a place for a delivery, so it must not be much longer than a short outage.
func (a *attempt) hold(ctx context.Context, d *message.Delivery, cause error) {
	if d.DeliveryCount == 0 || errors.Is(cause, message.ErrUnpublishable) {
		return
	}
	ctx, stop := a.whileRunning(ctx)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(d.DeliveryCount)*a.DeliveryTimeout/6)
	defer cancel()
	a.log.Warn("cannot complete a delivery; holding it before it is returned to the queue", zap.Error(cause))
	<-ctx.Done()
}

// abandoned reports whether the attempt has to end because the converter stops, and not because the delivery was lost: a
// lost delivery is redelivered by the broker.
func abandoned(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return !errors.Is(context.Cause(ctx), message.ErrConnectionLost)
	}
	return errors.Is(err, errStopping)
}

// slotted waits for a slot, runs f and frees the slot.
func (a *attempt) slotted(ctx context.Context, f func(ctx context.Context) error) error {
	select {
	case <-a.Stopping: // a free slot may be acquired although waiting has ended
		return errStopping
	default:
	}
	waiting, stop := a.whileRunning(ctx)
	defer stop()
	began, acquire := time.Now(), a.slots.acquire
	if a.suspected() {
		acquire = a.slots.isolate
	}
	waiting, acquired := a.Phases.Start(waiting, phase.Wait)
	release, err := acquire(waiting)
	acquired(err)
	switch {
	case errors.Is(err, errNoSlot), errors.Is(err, errSuspectHeld):
		return a.postpone(ctx, err)
	case err != nil:
		return fmt.Errorf("wait for a slot: %w", err)
	}
	defer release()
	if a.suspected() {
		a.log.Info("converting in isolation", zap.Int32("losses", a.command.GetLosses()),
			zap.Int32("uncertain_failures", a.command.GetUncertainFailures()), zap.Duration("waited", time.Since(began)))
	}
	return f(ctx)
}
