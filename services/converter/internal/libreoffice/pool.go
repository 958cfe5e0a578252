package libreoffice

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapio"

	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/retry"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/fonts"
	"github.com/docmill/docmill/services/converter/internal/libreoffice/wire"
	"github.com/docmill/docmill/services/converter/internal/libreoffice/zygote"
)

const (
	// startTimeout is how long LibreOffice may take to load, warm up and convert the canary: 3 s on an idle machine.
	startTimeout = 2 * time.Minute
	// recycleInterval is how often age and size are checked, in addition to after each conversion.
	recycleInterval = 5 * time.Second
	// maxDelay is the longest time between two attempts to start LibreOffice.
	maxDelay = 15 * time.Second
)

// startPolicy is for a LibreOffice that ended.
var startPolicy = retry.Policy{Initial: 200 * time.Millisecond, Max: maxDelay}

// errStopped means that the engine is no longer running.
var errStopped = fmt.Errorf("%w: it has stopped", engine.ErrUnavailable)

// acquireTimeout is how long a conversion waits for a LibreOffice that is warm: several starts.
const acquireTimeout = time.Minute

// pool keeps an instance ready. It is safe for concurrent use.
type pool struct {
	config    Config
	program   string
	directory string
	fonts     *fonts.Set
	log       *zap.Logger
	metrics   *metrics
	// space returns an error while the disk is too full for LibreOffice.
	space func() error

	mu      sync.Mutex
	current *instance     // nil while none is warm
	changed chan struct{} // closed when current changes
	stopped error         // why there will be no more instances
}

// trial checks that a new instance works.
type trial func(ctx context.Context, i *instance) error

func newPool(config Config, program, directory string, fonts *fonts.Set, space func() error, log *zap.Logger, metrics *metrics) *pool {
	return &pool{
		config: config, program: program, directory: directory, fonts: fonts, space: space, log: log, metrics: metrics,
		changed: make(chan struct{}),
	}
}

// acquire waits for an instance, for at most acquireTimeout, and holds it.
func (p *pool) acquire(ctx context.Context) (*instance, error) {
	timer := time.NewTimer(acquireTimeout)
	defer timer.Stop()
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
		case <-timer.C:
			return nil, fmt.Errorf("%w: LibreOffice is not loaded after %s", engine.ErrUnavailable, acquireTimeout)
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for LibreOffice: %w", ctx.Err())
		}
	}
}

// publish makes an instance, or none, the one that new conversions use.
func (p *pool) publish(next *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = next
	close(p.changed)
	p.changed = make(chan struct{})
}

// stop makes every acquire fail.
func (p *pool) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current, p.stopped = nil, errStopped
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pool) check() error {
	p.mu.Lock()
	current := p.current
	p.mu.Unlock()
	if current == nil {
		return errors.New("LibreOffice is not loaded")
	}
	// An upgrade of its package removes it for a while, and children load parts of it late.
	if _, err := os.Stat(p.program); err != nil {
		return fmt.Errorf("LibreOffice: %w", err)
	}
	return nil
}

// version returns the name and version of the instance that new conversions use.
func (p *pool) version() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil {
		return "LibreOffice"
	}
	return p.current.version
}

// run is Engine.Run. It returns when all instances have ended.
func (p *pool) run(ctx context.Context, try trial, ready func(), drain <-chan struct{}) error {
	defer p.stop()
	s := supervisor{pool: p, try: try, drain: drain}
	defer s.retiring.Wait()
	current, err := s.openFirst(ctx)
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

// supervisor is the part of a pool that one goroutine runs.
type supervisor struct {
	*pool

	try   trial
	drain <-chan struct{}
	// retiring counts the instances that were replaced and still have conversions.
	retiring sync.WaitGroup
}

// serve keeps an instance working until another replaces it, which it returns, or until the pool is to stop.
func (s *supervisor) serve(ctx context.Context, current *instance) (*instance, error) {
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
			s.log.Error("LibreOffice ended; restarting it", zap.Error(current.reason))
			s.metrics.ended("died")
			return s.reopen(ctx, current)
		case <-ticker.C:
		case <-current.released:
		}
		reason := s.recycleReason(current)
		if reason == "" || time.Now().Before(notBefore) {
			continue
		}
		if next := s.replace(ctx, current, reason); next != nil {
			return next, nil
		}
		notBefore = time.Now().Add(maxDelay)
	}
}

// finish ends an instance when its conversions have ended or ctx is done.
func (s *supervisor) finish(ctx context.Context, current *instance) error {
	current.retire()
	select {
	case <-current.idle:
	case <-current.gone:
	case <-ctx.Done():
	}
	return current.close()
}

// recycleReason returns why an instance must be replaced, or "".
func (s *supervisor) recycleReason(i *instance) string {
	resident, err := i.memory()
	switch {
	case err != nil: // it has just ended
		return ""
	case time.Since(i.started) > s.config.RecycleAge:
		return "age"
	case i.conversions() >= uint64(s.config.RecycleConversions):
		return "conversions"
	case resident-i.resident > int64(s.config.RecycleGrowth):
		return "growth"
	default:
		return ""
	}
}

// replace replaces an instance by a new one, which is warm before the old one gets its last conversion. If no new one
// can be started, the old one stays.
func (s *supervisor) replace(ctx context.Context, old *instance, reason string) *instance {
	next, err := s.open(ctx)
	if err != nil || next == nil {
		if err != nil {
			s.log.Error("cannot start a fresh LibreOffice; keeping the old one", zap.String("reason", reason), zap.Error(err))
		}
		return nil
	}
	s.publish(next)
	s.log.Info("replaced LibreOffice", zap.String("reason", reason), zap.Uint64("conversions", old.conversions()))
	s.metrics.ended(reason)
	s.retiring.Go(func() {
		if err := s.finish(ctx, old); err != nil {
			s.log.Warn("cannot end the old LibreOffice", zap.Error(err))
		}
	})
	return next
}

// openFirst starts the first instance. It waits while the disk is full. After any other failure it returns the error: LibreOffice
// may be missing or broken. It returns nil and no error if the pool stops meanwhile.
func (s *supervisor) openFirst(ctx context.Context) (*instance, error) {
	serving, stop := host.Context(ctx, s.drain)
	defer stop()
	var first *instance
	err := retry.Loop(serving, startPolicy, s.log, "cannot start LibreOffice; waiting for free space", func(context.Context) (err error) {
		if err := s.space(); err != nil {
			return err
		}
		first, err = s.open(ctx)
		if err != nil && s.space() == nil {
			return retry.Permanent(err)
		}
		return err
	})
	if serving.Err() != nil && first == nil {
		return nil, nil //nolint:nilnil // the pool is stopping
	}
	return first, err
}

// reopen tries to start an instance until it succeeds, with growing delays.
func (s *supervisor) reopen(ctx context.Context, dead *instance) (*instance, error) {
	if err := dead.close(); err != nil {
		s.log.Warn("cannot clean up after LibreOffice", zap.Error(err))
	}
	serving, stop := host.Context(ctx, s.drain)
	defer stop()
	var next *instance
	err := retry.Loop(serving, startPolicy, s.log, "cannot start LibreOffice; retrying", func(context.Context) (err error) {
		next, err = s.open(ctx)
		return err
	})
	if err != nil || next == nil {
		return nil, nil //nolint:nilnil // the pool is stopping: no other error ends the loop
	}
	s.publish(next)
	return next, nil
}

// open starts an instance and converts the canary with it. It returns nil and no error if the pool stops meanwhile.
func (s *supervisor) open(ctx context.Context) (*instance, error) {
	timed, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	starting, stop := host.Context(timed, s.drain)
	defer stop()
	began := time.Now()
	i, err := s.start(starting)
	if err == nil {
		err = s.try(starting, i)
	}
	if err != nil {
		if i != nil {
			err = errors.Join(err, i.close())
		}
		select {
		case <-s.drain:
			return nil, nil //nolint:nilnil // the pool is stopping
		default:
			return nil, err
		}
	}
	s.metrics.opened(i)
	s.log.Info("LibreOffice is loaded", zap.String("version", i.version), zap.Uint32("landlock", i.hello.Landlock),
		zap.Uint32("threads", i.hello.Threads), zap.Int64("bytes", i.resident), zap.Duration("took", time.Since(began)))
	return i, nil
}

func (s *supervisor) start(ctx context.Context) (*instance, error) {
	directory, err := os.MkdirTemp(s.directory, "instance-")
	if err != nil {
		return nil, fmt.Errorf("create a directory for LibreOffice: %w", err)
	}
	i, err := s.startIn(ctx, directory)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(directory))
	}
	return i, nil
}

func (s *supervisor) startIn(ctx context.Context, directory string) (*instance, error) {
	if err := checkInstallation(s.program); err != nil {
		return nil, err
	}
	profile, warm, err := writeProfile(directory, s.config.warmUp())
	if err != nil {
		return nil, err
	}
	installation, err := completeInstallation(filepath.Dir(s.program), filepath.Join(directory, "installation"))
	if err != nil {
		return nil, err
	}
	packet, err := wire.Configure{
		Program: s.program, ProfileURL: fileURL(profile), Confined: !s.config.unconfined,
		Readable: slices.Concat(readablePaths(s.program), []string{profile, installation}, s.fonts.Readable()), Warm: warm,
	}.Marshal()
	if err != nil {
		return nil, fmt.Errorf("configure LibreOffice: %w", err)
	}
	layers, err := readOnlyLayers(s.program)
	if err != nil {
		return nil, err
	}
	process, err := zygote.Start(directory, slices.Concat(environment(installation), layers, s.fonts.Environment()), &zapio.Writer{Log: s.log.Named("libreoffice"), Level: zap.WarnLevel})
	if err != nil {
		return nil, err
	}
	if err := process.Send(packet, nil); err != nil {
		return nil, errors.Join(err, process.Kill())
	}
	i, err := awaitGreeting(ctx, process, directory)
	if err != nil {
		return nil, errors.Join(err, process.Kill())
	}
	if i.hello.Landlock == 0 && !s.config.AllowUnconfined {
		return nil, errors.Join(errNoLandlock, process.Kill())
	}
	return i, nil
}

// errNoLandlock means that documents cannot be sandboxed.
var errNoLandlock = errors.New("this kernel has no Landlock, so documents could read this machine's files: " +
	"use Linux 5.13 or newer with landlock among its security modules (/sys/kernel/security/lsm), " +
	"and a container runtime whose seccomp profile permits Landlock; or set allow-unconfined")

// environment returns LibreOffice's environment. It contains nothing of the converter's environment, because a
// document's formulas and fields can read it (CVE-2024-12426).
func environment(installation string) []string {
	return []string{
		"PATH=/usr/bin:/bin", "LANG=C.UTF-8",
		"BRAND_BASE_DIR=" + fileURL(installation), // instead of the one in program/fundamentalrc
		"MALLOC_ARENA_MAX=4", "MAX_CONCURRENCY=4", // bounds what threads reserve on machines with many cores
	}
}
