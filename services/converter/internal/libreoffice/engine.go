// Package forkserver converts documents in children of a process that has LibreOffice loaded: a fresh child for each
// document, which starts in a millisecond, is locked in before it opens the document, and takes nothing of it along.
//
// Compared with one LibreOffice per document, the start of LibreOffice is saved, some 0.8 s. Compared with one
// LibreOffice for many documents, a document that hangs, grows or crashes costs itself and nothing else.
package libreoffice

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/detect"
	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/installation"
	"github.com/docmill/docmill/services/converter/internal/pdf"
)

// Engine is an engine.Engine that works while Run does. It is safe for concurrent use.
type Engine struct {
	limits  limits
	parents *parents
	pdf     *pdf.Inspector
	log     *zap.Logger
	metrics *metrics
	// formats are those that LibreOffice can read.
	formats []format.Format
	// onStart, when not nil, is told of each child. It is there for tests, which have no other way to its process.
	onStart func(folder string, pid int)
}

var _ engine.Engine = (*Engine)(nil)

// New finds LibreOffice and makes an Engine that keeps its files in folder, which outlives it.
func New(config engine.Config, own Config, folder string, log *zap.Logger, registry prometheus.Registerer) (*Engine, error) {
	program, err := installation.Find(config.Program, "libsofficeapp.so", "libmergedlo.so")
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
	e := &Engine{
		limits: limits{config.Timeout, int64(config.Memory), int64(config.Disk), config.Pages},
		pdf:    inspector, log: log, metrics: newMetrics(registry), formats: readFormats(program, log),
	}
	e.parents = newParents(own, program, folder, log, e.metrics)
	return e, nil
}

// Run keeps LibreOffice loaded until drain is closed; then running conversions end by themselves, and new ones are
// refused. When ctx is canceled they are abandoned. It calls ready after a first document has been converted, and returns
// an error when that does not succeed; later failures are mended by a new start. It has the shape of a host.Component's Run.
func (e *Engine) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	return e.parents.run(ctx, e.tryOut, ready, drain)
}

// Check tells whether a conversion could begin now. It is a health.Check's probe.
func (e *Engine) Check(context.Context) error { return e.parents.check() }

const (
	// crashes is how many children a document may crash: not every crash is the document's, but two in a row are.
	crashes = 2
	// losses is how many parents a conversion may lose before it is left to another converter, or to later.
	losses = 3
)

// Convert implements engine.Engine. It waits while no LibreOffice is warm.
func (e *Engine) Convert(ctx context.Context, request engine.Request) (engine.Output, error) {
	source, err := engine.Examine(ctx, request)
	if err == nil {
		err = e.readable(source.Format)
	}
	if err != nil {
		return engine.Output{}, err
	}
	crashed, lost := 0, 0
	for number := 1; ; number++ {
		output, err := e.attempt(ctx, request, source, number)
		switch {
		case ctx.Err() != nil && err != nil:
			return output, fmt.Errorf("convert: %w", errors.Join(ctx.Err(), err))
		case errors.Is(err, errCrashed):
			if crashed++; crashed == crashes {
				return output, problem.New(problem.EngineCrashed, "The conversion crashed.").Because(err)
			}
		case errors.Is(err, errNotSaved) && request.Options.GetPages() != "":
			return engine.Output{}, e.missingPages(ctx, request, err)
		case errors.Is(err, errParentGone), errors.Is(err, errUnanswered):
			if lost++; lost == losses {
				return output, fmt.Errorf("convert, %d times: %w", losses, err)
			}
		default:
			return output, err
		}
		e.log.Warn("a conversion begins again", zap.String("folder", request.Folder), zap.Error(err))
	}
}

// missingPages finds out whether pages could not be written because the document does not have them: LibreOffice does not say.
// It converts the whole document for that, which only those wait for who asked for too much.
func (e *Engine) missingPages(ctx context.Context, request engine.Request, failure error) error {
	request.Folder = filepath.Join(request.Folder, "whole")
	if err := os.Mkdir(request.Folder, 0o700); err != nil {
		return fmt.Errorf("make a folder for the whole document: %w", err)
	}
	wanted := request.Options.GetPages()
	request.Options = proto.CloneOf(request.Options)
	request.Options.Pages = nil
	whole, err := e.Convert(ctx, request)
	if err != nil {
		return failure
	}
	return problem.New(problem.PagesNotFound, "The document has %d pages, and none of %s.", whole.Pages, wanted).Because(failure)
}

func (e *Engine) attempt(ctx context.Context, request engine.Request, source detect.Result, number int) (engine.Output, error) {
	o, err := e.parents.acquire(ctx)
	if err != nil {
		return engine.Output{}, err
	}
	defer o.release()
	output, err := e.attemptIn(ctx, o, request, source, number)
	output.Engine = o.version
	return output, err
}

func (e *Engine) attemptIn(
	ctx context.Context, o *office, request engine.Request, source detect.Result, number int,
) (engine.Output, error) {
	a, err := prepare(request, source, e.limits, number)
	if err != nil {
		return engine.Output{}, err
	}
	a.office = o
	a.onStart = e.onStart
	finished, err := a.run(ctx)
	e.metrics.attempt(finished, err)
	if err != nil {
		return engine.Output{}, err
	}
	return e.judge(ctx, a, source, finished)
}

// tryOut converts a document that is known to be good.
func (e *Engine) tryOut(ctx context.Context, o *office) error {
	format, _ := format.ByID("docx")
	target, _ := format.Target("pdf")
	folder := filepath.Join(o.folder, "canary")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return fmt.Errorf("make a folder for the trial document: %w", err)
	}
	request := engine.Request{Folder: folder, Source: filepath.Join(o.folder, "warm", canary), Format: format, Target: target}
	source, err := engine.Examine(ctx, request)
	if err != nil {
		return fmt.Errorf("trial document: %w", err)
	}
	if _, err := e.attemptIn(ctx, o, request, source, 1); err != nil {
		return fmt.Errorf("convert a trial document: %w", err)
	}
	return nil
}
