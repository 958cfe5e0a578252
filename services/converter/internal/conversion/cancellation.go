package conversion

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/docmill/docmill/contract/cancellation"
)

// errCanceled means that the client has canceled the job.
var errCanceled = errors.New("the job was canceled")

// recheckInterval is how often a running conversion looks for the marker of its cancellation, in case the announcement was lost.
// Most conversions end before.
const recheckInterval = 5 * time.Second

// cancellations are the jobs that the converter holds, and can cancel. It is safe for concurrent use.
type cancellations struct {
	mutex sync.Mutex
	held  map[held]map[*context.CancelCauseFunc]struct{} // a duplicate of a command is held beside it
}

// held identifies a generation of a job.
type held struct {
	jobID      string
	generation int32
}

// watch returns a copy of ctx that also ends, with the cause errCanceled, when the job is canceled, and the function that cancels it.
// The caller calls stop.
func (c *cancellations) watch(ctx context.Context, h held) (watched context.Context, cancel context.CancelCauseFunc, stop func()) {
	watched, cancel = context.WithCancelCause(ctx)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.held == nil {
		c.held = map[held]map[*context.CancelCauseFunc]struct{}{}
	}
	if c.held[h] == nil {
		c.held[h] = map[*context.CancelCauseFunc]struct{}{}
	}
	c.held[h][&cancel] = struct{}{}
	return watched, cancel, func() {
		cancel(nil)
		c.mutex.Lock()
		defer c.mutex.Unlock()
		if delete(c.held[h], &cancel); len(c.held[h]) == 0 {
			delete(c.held, h)
		}
	}
}

// Cancel ends the work on a generation of a job, if this converter does any: it kills the child that converts the document.
func (c *Converter) Cancel(jobID string, generation int32) {
	c.cancellations.mutex.Lock()
	defer c.cancellations.mutex.Unlock()
	for cancel := range c.cancellations.held[held{jobID, generation}] {
		(*cancel)(errCanceled)
	}
}

// unlessCanceled works on an attempt. If the job is canceled before that ends, it reports the cancellation instead.
func (c *Converter) unlessCanceled(ctx context.Context, a *attempt, work func(context.Context) error) error {
	watched, cancel, stop := c.cancellations.watch(ctx, held{a.command.GetJobId(), a.command.GetGeneration()})
	defer stop()
	a.cancel = cancel
	err := work(watched)
	if err != nil && ctx.Err() == nil && (canceled(watched) || errors.Is(err, errCanceled)) {
		return a.drop(ctx)
	}
	return err
}

// canceled reports whether a context of watch has ended because its job was canceled.
func canceled(watched context.Context) bool { return errors.Is(context.Cause(watched), errCanceled) }

// marked returns an errCanceled if there is a marker of the cancellation of the job, or an errStore.
func (a *attempt) marked(ctx context.Context) error {
	found, err := cancellation.Marked(ctx, a.Sources, a.command.GetJobId(), a.command.GetGeneration())
	if err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	if found {
		return errCanceled
	}
	return nil
}

// recheck looks for the marker repeatedly until ctx ends, and cancels the attempt if it finds one.
func (a *attempt) recheck(ctx context.Context) {
	ticker := time.NewTicker(recheckInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if err := a.marked(ctx); errors.Is(err, errCanceled) {
			a.cancel(errCanceled)
			return
		}
	}
}

// drop reports that the job was canceled. Its command is then acknowledged.
func (a *attempt) drop(ctx context.Context) error {
	a.log.Info("the job was canceled", a.facts()...)
	return a.events.canceled(ctx, a.started)
}
