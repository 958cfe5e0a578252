package libreoffice

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
	"go.uber.org/zap/zapio"

	"github.com/docmill/docmill/services/converter/internal/libreoffice/zygote"
	"github.com/docmill/docmill/services/converter/internal/libreoffice/wire"
)

const (
	// startTimeout is how long LibreOffice may take to load, warm up and convert the canary: 3 s on an idle machine.
	startTimeout = 2 * time.Minute
	// recycleInterval is how often age and size are looked at, beside after each conversion.
	recycleInterval = 5 * time.Second
	firstDelay      = 200 * time.Millisecond
	maxDelay        = 15 * time.Second
)

// errStopped says that the engine no longer runs.
var errStopped = errors.New("the conversion engine has stopped")

// parents keeps a warm parent at hand. It is safe for concurrent use.
type parents struct {
	config  Config
	program string
	folder  string
	log     *zap.Logger
	metrics *metrics

	mu      sync.Mutex
	current *office       // nil while none is warm
	changed chan struct{} // closed when current changes
	stopped error         // why there will be none any more
}

// trial tells whether a new parent is fit for work.
type trial func(ctx context.Context, o *office) error

func newParents(config Config, program, folder string, log *zap.Logger, metrics *metrics) *parents {
	return &parents{config: config, program: program, folder: folder, log: log, metrics: metrics, changed: make(chan struct{})}
}

// acquire waits for a warm parent and holds it.
func (p *parents) acquire(ctx context.Context) (*office, error) {
	for {
		p.mu.Lock()
		current, changed, stopped := p.current, p.changed, p.stopped
		p.mu.Unlock()
		if stopped != nil {
			return nil, stopped
		}
		if current != nil && current.hold() {
			return current, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for LibreOffice: %w", ctx.Err())
		}
	}
}

// publish makes a parent, or none, the one that new conversions go to.
func (p *parents) publish(next *office) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = next
	close(p.changed)
	p.changed = make(chan struct{})
}

// stop lets all who wait for a parent go.
func (p *parents) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current, p.stopped = nil, errStopped
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *parents) check() error {
	p.mu.Lock()
	current := p.current
	p.mu.Unlock()
	if current == nil {
		return errors.New("LibreOffice is not warm")
	}
	// An upgrade of its package takes it away for a while, and children load parts of it late.
	if _, err := os.Stat(p.program); err != nil {
		return fmt.Errorf("LibreOffice: %w", err)
	}
	return nil
}

// run is Engins.Run. It returns when all parents have ended.
func (p *parents) run(ctx context.Context, try trial, ready func(), drain <-chan struct{}) error {
	defer p.stop()
	s := supervisor{parents: p, try: try, drain: drain}
	defer s.retiring.Wait()
	current, err := s.open(ctx)
	if err != nil {
		return fmt.Errorf("start LibreOffice (%s): %w", p.program, err)
	}
	if current == nil {
		return nil
	}
	p.publish(current)
	ready()
	for current != nil {
		if current, err = s.serve(ctx, current); err != nil {
			return err
		}
	}
	return nil
}

// supervisor is the part of parents that one goroutine does.
type supervisor struct {
	*parents
	try   trial
	drain <-chan struct{}
	// retiring counts the parents that were replaced and have conversions to end.
	retiring sync.WaitGroup
}

// serve lets one parent work until another takes over, which it returns, or until it is time to end.
func (s *supervisor) serve(ctx context.Context, current *office) (*office, error) {
	ticker := time.NewTicker(recycleInterval)
	defer ticker.Stop()
	var notBefore time.Time
	for {
		select {
		case <-s.drain:
			return nil, s.finish(ctx, current)
		case <-ctx.Done():
			return nil, s.finish(ctx, current)
		case <-current.gone:
			s.publish(nil)
			s.log.Error("LibreOffice ended; it is started again", zap.Error(current.reason))
			s.metrics.ended("died")
			return s.reopen(ctx, current)
		case <-ticker.C:
		case <-current.released:
		}
		why := s.worn(current)
		if why == "" || time.Now().Before(notBefore) {
			continue
		}
		if next := s.relieve(ctx, current, why); next != nil {
			return next, nil
		}
		notBefore = time.Now().Add(maxDelay)
	}
}

// finish ends a parent when its conversions have ended or ctx is done.
func (s *supervisor) finish(ctx context.Context, current *office) error {
	current.retire()
	select {
	case <-current.idle:
	case <-current.gone:
	case <-ctx.Done():
	}
	return current.close()
}

// worn tells why a parent is to be replaced, or "".
func (s *supervisor) worn(o *office) string {
	resident, err := o.memory()
	switch {
	case err != nil: // it has just ended
		return ""
	case time.Since(o.born) > s.config.RecycleAge:
		return "age"
	case o.conversions() >= uint64(s.config.RecycleConversions):
		return "conversions"
	case resident-o.resident > int64(s.config.RecycleGrowth):
		return "growth"
	default:
		return ""
	}
}

// relieve replaces a parent by a new one, which is warm before the old one gets its last conversion. When no new one can
// be had the old one goes on.
func (s *supervisor) relieve(ctx context.Context, old *office, why string) *office {
	next, err := s.open(ctx)
	if err != nil || next == nil {
		if err != nil {
			s.log.Error("LibreOffice could not be replaced; the old one goes on", zap.String("why", why), zap.Error(err))
		}
		return nil
	}
	s.publish(next)
	s.log.Info("a fresh LibreOffice takes over", zap.String("why", why), zap.Uint64("conversions", old.conversions()))
	s.metrics.ended(why)
	s.retiring.Go(func() {
		if err := s.finish(ctx, old); err != nil {
			s.log.Warn("end the old LibreOffice", zap.Error(err))
		}
	})
	return next
}

// reopen tries to start a parent until it succeeds, with growing pauses.
func (s *supervisor) reopen(ctx context.Context, dead *office) (*office, error) {
	if err := dead.close(); err != nil {
		s.log.Warn("tidy up after LibreOffice", zap.Error(err))
	}
	delays := &backoff.ExponentialBackOff{InitialInterval: firstDelay, Multiplier: 2, MaxInterval: maxDelay, RandomizationFactor: 0.5}
	for {
		next, err := s.open(ctx)
		if err == nil {
			if next != nil {
				s.publish(next)
			}
			return next, nil
		}
		pause := delays.NextBackOff()
		s.log.Error("LibreOffice does not start", zap.Error(err), zap.Duration("next", pause))
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-s.drain:
			timer.Stop()
			return nil, nil //nolint:nilnil // asked to stop
		case <-ctx.Done():
			timer.Stop()
			return nil, nil //nolint:nilnil // asked to stop
		}
	}
}

// open starts a parent and has it convert the canary. It returns nil and no error when it was told to stop meanwhile.
func (s *supervisor) open(ctx context.Context) (*office, error) {
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	opened := make(chan struct{})
	defer close(opened)
	go func() {
		select {
		case <-s.drain:
			cancel()
		case <-opened:
		}
	}()
	began := time.Now()
	o, err := s.start(starting)
	if err == nil {
		err = s.try(starting, o)
	}
	if err != nil {
		if o != nil {
			err = errors.Join(err, o.close())
		}
		select {
		case <-s.drain:
			return nil, nil //nolint:nilnil // asked to stop
		default:
			return nil, err
		}
	}
	s.metrics.opened(o)
	s.log.Info("LibreOffice is warm", zap.String("version", o.hello.Office), zap.Uint32("landlock", o.hello.Landlock),
		zap.Uint32("threads", o.hello.Threads), zap.Int64("bytes", o.resident), zap.Duration("took", time.Since(began)))
	return o, nil
}

func (s *supervisor) start(ctx context.Context) (*office, error) {
	folder, err := os.MkdirTemp(s.folder, "office-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for LibreOffice: %w", err)
	}
	o, err := s.startIn(ctx, folder)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return o, nil
}

func (s *supervisor) startIn(ctx context.Context, folder string) (*office, error) {
	profile, warm, err := furnish(folder)
	if err != nil {
		return nil, err
	}
	installation, err := complete(filepath.Dir(s.program), filepath.Join(folder, "installation"))
	if err != nil {
		return nil, err
	}
	packet, err := wire.Configure{
		Program: s.program, ProfileURL: fileURL(profile), Confined: !s.config.unconfined,
		Readable: append(readable(s.program), profile, installation), Warm: warm,
	}.Marshal()
	if err != nil {
		return nil, fmt.Errorf("configure LibreOffice: %w", err)
	}
	process, err := zygote.Start(folder, environment(installation), &zapio.Writer{Log: s.log.Named("libreoffice"), Level: zap.WarnLevel})
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
	if err := checkVersion(o.hello.Office); err != nil {
		return nil, errors.Join(err, process.Kill())
	}
	if o.hello.Landlock == 0 && !s.config.AllowUnconfined {
		return nil, errors.Join(errNoLandlock, process.Kill())
	}
	return o, nil
}

// errNoLandlock says how to mend it.
var errNoLandlock = errors.New("this kernel has no Landlock, so documents could read this machine's files: " +
	"use Linux 5.13 or newer with landlock among its security modules, or set allow-unconfined")

// environment is all that LibreOffice sees of ours: a document's formulas and fields can read the environment
// (CVE-2024-12426).
func environment(installation string) []string {
	return []string{
		"PATH=/usr/bin:/bin", "LANG=C.UTF-8",
		"BRAND_BASE_DIR=" + fileURL(installation), // instead of the one in program/fundamentalrc
		"MALLOC_ARENA_MAX=4", "MAX_CONCURRENCY=4", // what threads reserve is bounded on machines with many cores too
	}
}
