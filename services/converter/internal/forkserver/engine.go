// Package forkserver converts documents in children of a process that has LibreOffice loaded: a fresh child for each
// document, which starts in a millisecond, is locked in before it opens the document, and takes nothing of it along.
//
// Compared with one LibreOffice per document, the start of LibreOffice is saved, some 0.8 s. Compared with one
// LibreOffice for many documents, a document that hangs, grows or crashes costs itself and nothing else.
package forkserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/document"
	"github.com/docmill/docmill/platform/problem"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/pdf"
)

// Engine is an engine.Engine that works while Run does. It is safe for concurrent use.
type Engine struct {
	config  Config
	program string
	folder  string
	log     *zap.Logger
	metrics *metrics
	pdf     *pdf.Inspector
	lastID  atomic.Uint64

	mu      sync.Mutex
	current *office       // nil while none is warm
	changed chan struct{} // closed when current changes
	stopped error         // why there will be none any more
}

var _ engine.Engine = (*Engine)(nil)

// New finds LibreOffice and makes an Engine that keeps its files in folder, which outlives it.
func New(config Config, folder string, log *zap.Logger, registry prometheus.Registerer) (*Engine, error) {
	program, err := findProgram(config.Program)
	if err != nil {
		return nil, err
	}
	inspector, err := pdf.NewInspector()
	if err != nil {
		return nil, err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, fmt.Errorf("folder of LibreOffice: %w", err)
	}
	return &Engine{
		config: config, program: program, folder: folder, log: log, pdf: inspector,
		metrics: newMetrics(registry), changed: make(chan struct{}),
	}, nil
}

const (
	// crashes is how many children a document may crash: not every crash is the document's, but two in a row are.
	crashes = 2
	// losses is how many parents a conversion may lose before it is left to another converter, or to later.
	losses = 3
)

// Convert implements engine.Engine. It waits while no LibreOffice is warm.
func (e *Engine) Convert(ctx context.Context, request engine.Request) (engine.Output, error) {
	source, err := examine(request)
	if err != nil {
		return engine.Output{}, err
	}
	crashed, lost := 0, 0
	for number := 1; ; number++ {
		output, err := e.attempt(ctx, request, source, number)
		switch {
		case ctx.Err() != nil && err != nil:
			return engine.Output{}, fmt.Errorf("convert: %w", errors.Join(ctx.Err(), err))
		case errors.Is(err, errCrashed):
			if crashed++; crashed == crashes {
				return engine.Output{}, problem.New(problem.EngineCrashed, "The conversion crashed.").Because(err)
			}
		case errors.Is(err, errParentGone), errors.Is(err, errUnanswered):
			if lost++; lost == losses {
				return engine.Output{}, fmt.Errorf("convert, %d times: %w", losses, err)
			}
		default:
			return output, err
		}
		e.log.Warn("a conversion begins again", zap.String("folder", request.Folder), zap.Error(err))
	}
}

func (e *Engine) attempt(ctx context.Context, request engine.Request, source document.Recognition, number int) (engine.Output, error) {
	o, err := e.acquire(ctx)
	if err != nil {
		return engine.Output{}, err
	}
	defer o.release()
	return e.attemptIn(ctx, o, request, source, number)
}

func (e *Engine) attemptIn(
	ctx context.Context, o *office, request engine.Request, source document.Recognition, number int,
) (engine.Output, error) {
	a, err := prepare(request, source, limits{e.config.Timeout, int64(e.config.Memory), int64(e.config.Disk)}, number)
	if err != nil {
		return engine.Output{}, err
	}
	a.office = o
	a.request.ID = e.lastID.Add(1)
	finished, err := a.run(ctx)
	e.metrics.attempt(finished, err)
	if err != nil {
		return engine.Output{}, err
	}
	return e.judge(ctx, a, source, finished)
}

// acquire waits for a warm parent and holds it.
func (e *Engine) acquire(ctx context.Context) (*office, error) {
	for {
		e.mu.Lock()
		current, changed, stopped := e.current, e.changed, e.stopped
		e.mu.Unlock()
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

// publish makes a parent, or none, the one that new conversions go to, and gives back the one before.
func (e *Engine) publish(next *office) *office {
	e.mu.Lock()
	defer e.mu.Unlock()
	previous := e.current
	e.current = next
	close(e.changed)
	e.changed = make(chan struct{})
	return previous
}

// stop lets all who wait for a parent go.
func (e *Engine) stop(reason error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = reason
	close(e.changed)
	e.changed = make(chan struct{})
}

// Check tells whether a conversion could begin now. It is a health.Check's probe.
func (e *Engine) Check(context.Context) error {
	e.mu.Lock()
	current := e.current
	e.mu.Unlock()
	if current == nil {
		return errors.New("LibreOffice is not warm")
	}
	// An upgrade of its package takes it away for a while, and children load parts of it late.
	if _, err := os.Stat(e.program); err != nil {
		return fmt.Errorf("LibreOffice: %w", err)
	}
	return nil
}
