package forkserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
	"go.uber.org/zap/zapio"

	"github.com/docmill/docmill/platform/document"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/forkserver/parent"
	"github.com/docmill/docmill/services/converter/internal/forkserver/protocol"
)

const (
	// startTimeout is how long LibreOffice may take to load, warm up and convert the canary: 3 s on an idle machine.
	startTimeout = 2 * time.Minute
	// recycleInterval is how often age and size are looked at.
	recycleInterval = 5 * time.Second
	firstDelay      = 200 * time.Millisecond
	maxDelay        = 15 * time.Second
)

// errStopped says that the engine no longer runs.
var errStopped = errors.New("the conversion engine has stopped")

// Run keeps LibreOffice loaded until drain is closed; then running conversions end by themselves, and new ones are
// refused. When ctx is canceled they are abandoned. It calls ready after a first document has been converted, and returns
// an error when that does not succeed; later failures are mended by a new start. It has the shape of a host.Part.
func (e *Engine) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	defer e.stop(errStopped)
	current, err := e.open(ctx, drain)
	if err != nil {
		return fmt.Errorf("start LibreOffice (%s): %w", e.program, err)
	}
	if current == nil {
		return nil
	}
	e.publish(current)
	ready()
	for {
		next, err := e.serve(ctx, current, drain)
		if next == nil {
			return err
		}
		current = next
	}
}

// serve lets one parent work until another takes over, which it returns, or until it is time to end.
func (e *Engine) serve(ctx context.Context, current *office, drain <-chan struct{}) (*office, error) {
	ticker := time.NewTicker(recycleInterval)
	defer ticker.Stop()
	for {
		select {
		case <-drain:
			return nil, e.finish(ctx, current)
		case <-ctx.Done():
			return nil, e.finish(ctx, current)
		case <-current.gone:
			e.publish(nil)
			e.log.Error("LibreOffice ended; it is started again", zap.Error(current.reason))
			e.metrics.ended("died")
			return e.reopen(ctx, current, drain)
		case <-ticker.C:
			if why := e.worn(current); why != "" {
				next, err := e.relieve(ctx, current, why, drain)
				if next != nil || err != nil {
					return next, err
				}
			}
		}
	}
}

// finish ends a parent when its conversions have ended or ctx is done.
func (e *Engine) finish(ctx context.Context, current *office) error {
	current.retire()
	select {
	case <-current.idle:
	case <-current.gone:
	case <-ctx.Done():
	}
	return current.close()
}

// worn tells why a parent is to be replaced, or "".
func (e *Engine) worn(o *office) string {
	resident, err := o.memory()
	switch {
	case err != nil: // it has just ended
		return ""
	case time.Since(o.born) > e.config.RecycleAge:
		return "age"
	case o.conversions() >= e.config.RecycleConversions:
		return "conversions"
	case resident-o.resident > int64(e.config.RecycleGrowth):
		return "growth"
	default:
		return ""
	}
}

// relieve replaces a parent by a new one, which is warm before the old one gets its last conversion. When no new one can
// be had the old one goes on.
func (e *Engine) relieve(ctx context.Context, old *office, why string, drain <-chan struct{}) (*office, error) {
	next, err := e.open(ctx, drain)
	if err != nil || next == nil {
		if err != nil {
			e.log.Error("LibreOffice could not be replaced; the old one goes on", zap.String("why", why), zap.Error(err))
		}
		return nil, nil //nolint:nilnil,nilerr // told above; the caller tries again later
	}
	e.publish(next)
	e.log.Info("a fresh LibreOffice takes over", zap.String("why", why), zap.Int("conversions", old.conversions()))
	e.metrics.ended(why)
	go func() {
		if err := e.finish(ctx, old); err != nil {
			e.log.Warn("end the old LibreOffice", zap.Error(err))
		}
	}()
	return next, nil
}

// reopen tries to start a parent until it succeeds, with growing pauses.
func (e *Engine) reopen(ctx context.Context, dead *office, drain <-chan struct{}) (*office, error) {
	if err := dead.close(); err != nil {
		e.log.Warn("tidy up after LibreOffice", zap.Error(err))
	}
	delays := &backoff.ExponentialBackOff{InitialInterval: firstDelay, Multiplier: 2, MaxInterval: maxDelay, RandomizationFactor: 0.5}
	for {
		next, err := e.open(ctx, drain)
		if err == nil {
			if next != nil {
				e.publish(next)
			}
			return next, nil
		}
		pause := delays.NextBackOff()
		e.log.Error("LibreOffice does not start", zap.Error(err), zap.Duration("next", pause))
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-drain:
			timer.Stop()
			return nil, nil //nolint:nilnil // asked to stop
		case <-ctx.Done():
			timer.Stop()
			return nil, nil //nolint:nilnil // asked to stop
		}
	}
}

// open starts a parent and has it convert the canary. It returns nil and no error when it was told to stop meanwhile.
func (e *Engine) open(ctx context.Context, drain <-chan struct{}) (*office, error) {
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	opened := make(chan struct{})
	defer close(opened)
	go func() {
		select {
		case <-drain:
			cancel()
		case <-opened:
		}
	}()
	began := time.Now()
	o, err := e.start(starting)
	if err == nil {
		err = e.tryOut(starting, o)
	}
	if err != nil {
		if o != nil {
			err = errors.Join(err, o.close())
		}
		select {
		case <-drain:
			return nil, nil //nolint:nilnil // asked to stop
		default:
			return nil, err
		}
	}
	e.metrics.opened(o)
	e.log.Info("LibreOffice is warm", zap.String("version", o.hello.Office), zap.Uint32("landlock", o.hello.Landlock),
		zap.Uint32("threads", o.hello.Threads), zap.Int64("bytes", o.resident), zap.Duration("took", time.Since(began)))
	return o, nil
}

func (e *Engine) start(ctx context.Context) (*office, error) {
	folder, err := os.MkdirTemp(e.folder, "office-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for LibreOffice: %w", err)
	}
	o, err := e.startIn(ctx, folder)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return o, nil
}

func (e *Engine) startIn(ctx context.Context, folder string) (*office, error) {
	profile, warm, err := furnish(folder)
	if err != nil {
		return nil, err
	}
	packet, err := protocol.Configure{
		Program: e.program, ProfileURL: fileURL(profile), Confined: true,
		Readable: append(readable(e.program), profile), Warm: warm,
	}.Marshal()
	if err != nil {
		return nil, fmt.Errorf("configure LibreOffice: %w", err)
	}
	process, err := parent.Start(folder, environment(), &zapio.Writer{Log: e.log.Named("libreoffice"), Level: zap.WarnLevel})
	if err != nil {
		return nil, err
	}
	if err := process.Send(packet, nil); err != nil {
		return nil, errors.Join(err, process.Kill())
	}
	o, err := greet(ctx, process, folder)
	if err != nil {
		return nil, errors.Join(err, process.Kill())
	}
	if o.hello.Landlock == 0 && !e.config.AllowUnconfined {
		return nil, errors.Join(errNoLandlock, process.Kill())
	}
	return o, nil
}

// errNoLandlock says how to mend it.
var errNoLandlock = errors.New("this kernel has no Landlock, so documents could read this machine's files: " +
	"use Linux 5.13 or newer with landlock among its security modules, or set allow-unconfined")

// environment is all that LibreOffice sees of ours: a document's formulas and fields can read the environment
// (CVE-2024-12426).
func environment() []string {
	return []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "MALLOC_ARENA_MAX=4", "MAX_CONCURRENCY=4"}
}

// tryOut converts a document that is known to be good.
func (e *Engine) tryOut(ctx context.Context, o *office) error {
	format, _ := document.FormatByID("docx")
	target, _ := format.Target("pdf")
	folder := filepath.Join(o.folder, "canary")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return fmt.Errorf("make a folder for the trial document: %w", err)
	}
	request := engine.Request{Folder: folder, Source: filepath.Join(o.folder, "warm", canary), Format: format, Target: target}
	source, err := examine(request)
	if err != nil {
		return fmt.Errorf("trial document: %w", err)
	}
	if _, err := e.attemptIn(ctx, o, request, source, 1); err != nil {
		return fmt.Errorf("convert a trial document: %w", err)
	}
	return nil
}
