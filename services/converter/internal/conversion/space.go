package conversion

import (
	"context"
	"errors"
	"time"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/disk"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/retry"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

// readyTimeout is how long an attempt waits until this converter can work before its command is postponed: another
// converter may be able to.
const readyTimeout = 30 * time.Second

// checkTimeout bounds one check of what conversions need.
const checkTimeout = 3 * time.Second

// awaitReady waits until the work directory has enough space to start, and until a sick converter may try again.
func (a *attempt) awaitReady(ctx context.Context) error {
	ctx, stop := host.Context(ctx, a.Stopping)
	defer stop()
	if err := a.streak.pause(ctx); err != nil {
		return err
	}
	policy := retry.Policy{Initial: 500 * time.Millisecond, Max: 5 * time.Second, GiveUp: readyTimeout}
	return retry.Loop(ctx, policy, a.log, "waiting until this converter can work", func(ctx context.Context) error {
		if !a.streak.sick() {
			return a.diskFull()
		}
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		defer cancel()
		return a.Ready(ctx)
	})
}

// diskFull returns an engine.ErrNoSpace if the work directory has too little free space. If the free space cannot be
// determined, an attempt shows whether the directory can be used.
func (a *attempt) diskFull() error {
	if err := a.Space(); errors.Is(err, engine.ErrNoSpace) {
		return err
	}
	return nil
}

// full returns an error if the work directory or the store of the results has no space now.
func (a *attempt) full(ctx context.Context) error {
	if err := a.diskFull(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := a.Results.Check(ctx); errors.Is(err, blob.ErrFull) {
		return err
	}
	return nil
}

// errDoubtful means that a result may be incomplete.
var errDoubtful = errors.New("the result may be incomplete")

// blameDisk takes the error with which a result was finished in a directory. It returns an engine.ErrNoSpace instead of
// a problem of the document that the full disk may have caused, because the programs that finish a result do not report
// the reason, and instead of nil if the disk is so full that they may not have written everything.
func (a *attempt) blameDisk(err error, directory string) error {
	if err == nil {
		if free, failure := disk.Free(directory); failure == nil && free < engine.MinFreeOfResult {
			return engine.NoSpace(errDoubtful)
		}
		return nil
	}
	if problem.From(err).Code == problem.DocumentMalformed && a.diskFull() != nil {
		return engine.NoSpace(err)
	}
	return err
}
