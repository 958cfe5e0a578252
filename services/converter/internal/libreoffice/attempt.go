package libreoffice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/docmill/docmill/platform/disk"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/libreoffice/wire"
	"github.com/docmill/docmill/services/converter/internal/phase"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// diskInterval is how often a conversion's directory is measured. The kernel enforces the limit for each single file.
const diskInterval = 150 * time.Millisecond

// forkTimeout is how long a zygote may take to fork. It takes 1 to 3 ms, after the requests before it.
const forkTimeout = 20 * time.Second

// openFiles is how many files a child may have open: LibreOffice was observed to use 40.
const openFiles = 1024

// attempt is the work of one child on a document.
type attempt struct {
	engine.Request

	instance *instance
	order    wire.Convert
	// target is the path of the result.
	target string
	limits engine.Limits
	// steps measures the phases of the child.
	steps *phase.Sequence
	// onStart and freeSpace are those of the Engine.
	onStart   func(directory string, pid int)
	freeSpace func(directory string) (uint64, error)
}

// ending is how an attempt ended.
type ending struct {
	wire.Done
	// limit is sandbox.ErrTime or sandbox.ErrDisk if the child was killed for that, or nil.
	limit error
	// minFree is the least free space on the disk that was measured while the child worked and at its end.
	minFree uint64
	// explanation is LibreOffice's error message.
	explanation string
}

// prepare creates the child's directory and its order. Each attempt has a directory of its own, and cannot see what an
// earlier one left behind.
func prepare(request engine.Request, source input, limits engine.Limits, number int) (attempt, error) {
	directory := filepath.Join(request.Directory, fmt.Sprintf("attempt-%d", number))
	if err := os.Mkdir(directory, 0o700); err != nil {
		return attempt{}, fmt.Errorf("create the conversion's directory: %w", err)
	}
	target := filepath.Join(directory, "result."+request.Target.Extension)
	command := loadCommand(request.Options)
	path, err := placeSource(request.Source, source, directory, command != "")
	if err != nil {
		return attempt{}, err
	}
	seconds := uint32(math.Ceil(limits.Timeout.Seconds()))
	return attempt{
		Request: request, target: target, limits: limits, freeSpace: disk.Free,
		order: wire.Convert{
			Limits: wire.Limits{
				Memory: uint64(limits.Memory), FileSize: uint64(limits.Disk), OpenFiles: openFiles,
				CPU: seconds * uint32(runtime.NumCPU()), // a backstop: watch kills the child earlier
			},
			Directory: directory, Source: path,
			SourceURL: fileURL(path), LoadOptions: loadOptions(source.Import, cmp.Or(request.Options.GetLocale(), source.layout.language)),
			TargetURL: fileURL(target), Format: request.Target.ID, SaveOptions: exportOptions(request), Command: command,
			Password: request.Password, Type: documentType(source.Format.Family),
		},
	}, nil
}

// run runs the child to its end. When it returns, no part of the attempt is still running. The error is ctx's, or means
// that the zygote failed and that the attempt does not count.
func (a attempt) run(ctx context.Context) (ending, error) {
	reports, pipe, err := os.Pipe()
	if err != nil {
		return ending{}, fmt.Errorf("create a pipe for the child's reports: %w", err)
	}
	a.steps.Enter(phase.Load)
	c, err := a.instance.fork(a.order, pipe)
	_ = pipe.Close() // the zygote has a copy
	explanation := a.collect(reports)
	if err != nil {
		<-explanation
		return ending{}, err
	}
	finished, err := a.await(ctx, c)
	// The reports end when the child is dead. If its zygote is dead too, this is the only way to know.
	finished.explanation = <-explanation
	return finished, err
}

// collect reads the child's reports in the background until the child is dead, and then sends its error message.
func (a attempt) collect(reports *os.File) <-chan string {
	result := make(chan string, 1)
	go func() {
		defer reports.Close()
		explanation, err := wire.Reports(reports, func(reported wire.Phase, percent int) {
			if reported == wire.Saving {
				a.steps.Enter(phase.Export)
			}
			if a.Progress != nil {
				a.Progress(engine.Progress{Phase: phases[reported], Percent: percent})
			}
		})
		if err != nil {
			_, _ = io.Copy(io.Discard, reports) // the content is useless, but its end is the end of the child
		}
		result <- explanation
	}()
	return result
}

var phases = map[wire.Phase]engine.Phase{wire.Loading: engine.Loading, wire.Saving: engine.Saving}

// await waits until the child has started and then until it has ended.
func (a attempt) await(ctx context.Context, c *child) (ending, error) {
	start := time.NewTimer(forkTimeout)
	defer start.Stop()
	select {
	case started := <-c.started:
		if a.onStart != nil {
			a.onStart(a.order.Directory, started.PID)
		}
		return a.watch(ctx, c)
	case refused := <-c.refused:
		return ending{}, fmt.Errorf("%w: the zygote could not fork: %s", errRefused, refused.Reason)
	case <-a.instance.gone:
		return ending{}, a.instance.reason
	case <-start.C:
		return ending{}, errors.Join(errUnanswered, a.instance.process.Kill())
	}
}

// watch waits for a working child, and kills it at its limits or when ctx is done.
func (a attempt) watch(ctx context.Context, c *child) (ending, error) {
	deadline := time.NewTimer(a.limits.Timeout)
	defer deadline.Stop()
	ticker := time.NewTicker(diskInterval)
	defer ticker.Stop()
	minFree := uint64(math.MaxUint64)
	for {
		var limit error
		select {
		case done := <-c.done:
			return ending{Done: done, limit: a.disk(), minFree: min(minFree, a.free())}, nil
		case <-a.instance.gone:
			return a.gone(c, minFree)
		case <-ctx.Done():
			_, err := a.instance.kill(c)
			return ending{}, errors.Join(ctx.Err(), err)
		case <-deadline.C:
			limit = fmt.Errorf("%w: %s", sandbox.ErrTime, a.limits.Timeout)
		case <-ticker.C:
			limit = a.disk()
			minFree = min(minFree, a.free())
		}
		if limit != nil {
			done, err := a.instance.kill(c) // if the zygote fails now, the limit is still the reason
			if err == nil && done.Signal == 0 && errors.Is(limit, sandbox.ErrTime) {
				limit = a.disk() // it had exited before it was killed: this process was stopped or starved
			}
			return ending{Done: done, limit: limit, minFree: minFree}, nil
		}
	}
}

// gone returns how the child ended, if it ended before its zygote did.
func (a attempt) gone(c *child, minFree uint64) (ending, error) {
	select {
	case done := <-c.done:
		return ending{Done: done, limit: a.disk(), minFree: min(minFree, a.free())}, nil
	default:
		return ending{}, a.instance.reason
	}
}

// free returns how much of the disk is free. If that cannot be determined, the disk does not count as full.
func (a attempt) free() uint64 {
	free, err := a.freeSpace(a.order.Directory)
	if err != nil {
		return math.MaxUint64
	}
	return free
}

// disk returns sandbox.ErrDisk if the child's directory has grown to its limit.
func (a attempt) disk() error {
	size, err := sandbox.Usage(a.order.Directory)
	if err != nil {
		return nil //nolint:nilerr // it was readable at the start, and the kernel's limit for each file holds in any case
	}
	if limit := int64(a.limits.Disk); size >= limit {
		return fmt.Errorf("%w: %d MiB of %d", sandbox.ErrDisk, size>>20, limit>>20)
	}
	return nil
}
