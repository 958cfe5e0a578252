package conversion

import (
	"context"
	"errors"
	"time"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/disk"
	"github.com/docmill/docmill/platform/retry"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// checkTimeout bounds one check of what conversions need.
const checkTimeout = 3 * time.Second

// awaitPublisher waits until the outcome of an attempt could be published: while the broker accepts no messages, a result
// might have to be discarded. It returns an error if ctx ends before, or if this converter stops.
func (a *attempt) awaitPublisher(ctx context.Context) error {
	ctx, stop := a.whileRunning(ctx)
	defer stop()
	policy := retry.Policy{Initial: 500 * time.Millisecond, Max: 5 * time.Second}
	return retry.Loop(ctx, policy, a.log, "waiting until events can be published", a.Publishable)
}

// Ready returns an error while this converter should get no commands. It is for message.ConsumerOptions.
func (c *Converter) Ready(ctx context.Context) error {
	if err := c.streak.resting(); err != nil {
		return err
	}
	return c.deps.Ready(ctx)
}

// fit returns an error if this converter cannot work: it rests, its checks fail after a rest, or its disk has too little space.
func (a *attempt) fit(ctx context.Context) error {
	if err := a.streak.resting(); err != nil {
		return err
	}
	if !a.streak.sick() {
		return a.diskFull()
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return a.Ready(ctx)
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

// exceedsShare reports whether a job's directory uses more of the disk than each of the concurrent conversions can have. If
// not, the job is not the reason for a full disk.
func (a *attempt) exceedsShare(directory string) bool {
	used, err := sandbox.Usage(directory)
	return err == nil && used > a.Share()
}

// ShareOf returns a function that computes how many bytes each of a number of conversions can use of the disk with the work
// directory: the free space and what the conversions use already, divided by their number. It is never less than it was when
// ShareOf was called, so that conversions are not blamed when other programs or converters fill the disk. free returns the
// free space of a directory.
func ShareOf(directory string, conversions int, free func(directory string) (uint64, error)) func() int64 {
	share := func() int64 {
		free, err := free(directory)
		if err != nil {
			return 0
		}
		used, err := sandbox.Usage(directory)
		if err != nil {
			return 0
		}
		return (int64(free) + used) / int64(conversions)
	}
	least := share()
	return func() int64 { return max(least, share()) }
}
