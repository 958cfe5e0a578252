// Package libreoffice converts documents with LibreOffice, which stays loaded in a process, the zygote; each document
// is converted in a child that the zygote forks. A child starts in a millisecond, is sandboxed before it opens the
// document, and leaves nothing behind.
//
// Compared with one LibreOffice per document, that saves the start of LibreOffice, about 0.8 s. Compared with one
// LibreOffice for many documents, a document that hangs, grows or crashes affects only itself.
//
// The files:
//
//	engine.go                          from a request to its result: which attempts are made
//	attempt.go, verdict.go             one attempt, and what its end means
//	pool.go, instance.go               the processes that have LibreOffice loaded
//	checkinput.go, finishoutput.go     checks before and after; outputfixes.go removes what LibreOffice cannot omit
//	layout.go                          what is changed to lay out pages as Office does
//	loadoptions.go, exportoptions.go   translation of the client's options into LibreOffice's
//	pagesetup.go, pagestyles.go        options that LibreOffice does not have
//	hiddenslides.go                    everything about hidden slides
//	installation.go, version.go        what is installed, and what can be used
//	filters.go                         which formats it reads
package libreoffice

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/disk"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/platform/tracing"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/fonts"
	"github.com/docmill/docmill/services/converter/internal/pdf"
	"github.com/docmill/docmill/services/converter/internal/phase"
)

// Engine is an engine.Engine that works while Run is running. It is safe for concurrent use.
type Engine struct {
	program string
	limits  engine.Limits
	pool    *pool
	pdf     *pdf.Tools
	log     *zap.Logger
	metrics *metrics
	phases  *phase.Phases
	// formats are those that LibreOffice can read.
	formats []format.Format
	// wordRules is a file of fontconfig with rules that apply to Word's documents only; empty if there are none.
	wordRules string
	// onStart, if not nil, is called for each child. It is for tests, which have no other way to the process.
	onStart func(directory string, pid int)
	// freeSpace is disk.Free, except in tests.
	freeSpace func(directory string) (uint64, error)
}

var _ engine.Engine = (*Engine)(nil)

// Deps are the dependencies of an Engine. All fields but Phases are required.
type Deps struct {
	Tools *pdf.Tools
	// Directory is where the Engine keeps its files. It must exist until Run has returned.
	Directory string
	// Fonts are the fonts that LibreOffice uses; nil stands for the system's.
	Fonts   *fonts.Set
	Log     *zap.Logger
	Metrics prometheus.Registerer
	// Phases measures how long LibreOffice loads and exports; it may be nil.
	Phases *phase.Phases
}

// New finds LibreOffice and returns an Engine.
func New(config Config, limits engine.Limits, deps Deps) (*Engine, error) {
	program, err := findProgram(config.Program)
	if err != nil {
		return nil, err
	}
	directory, err := filepath.Abs(deps.Directory)
	if err != nil {
		return nil, fmt.Errorf("directory of LibreOffice: %w", err)
	}
	e := &Engine{
		program: program, limits: limits, pdf: deps.Tools, log: deps.Log,
		metrics: newMetrics(deps.Metrics), phases: deps.Phases, formats: readFormats(program, deps.Log), freeSpace: disk.Free,
		wordRules: deps.Fonts.WordFile(),
	}
	space := func() error { return limits.CheckSpace(directory) }
	e.pool = newPool(config, program, directory, deps.Fonts, space, deps.Log, e.metrics)
	return e, nil
}

// FontDirectory returns the directory of the fonts that come with LibreOffice; it may not exist.
func FontDirectory(config Config) (string, error) {
	program, err := findProgram(config.Program)
	return filepath.Join(filepath.Dir(program), "share", "fonts", "truetype"), err
}

// Files returns the files and directories of LibreOffice and its data that the result of a conversion depends on. Not all of them have
// to exist.
func (e *Engine) Files() []string { return dataPaths(e.program) }

// Program is LibreOffice's directory "program".
func (e *Engine) Program() string { return e.program }

// Version returns the name and version of the LibreOffice that is loaded; "LibreOffice" if none is.
func (e *Engine) Version() string { return e.pool.version() }

// Run keeps LibreOffice loaded until drain is closed; then running conversions are finished, and new ones are refused.
// When ctx is canceled they are abandoned. It calls ready after a first document has been converted, and returns an
// error if that fails although the disk is not full; after later failures it starts LibreOffice again. It is the Run of a
// host.Component.
func (e *Engine) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	if advice := e.Advice(); advice != "" {
		e.log.Warn("a newer LibreOffice is recommended", zap.String("reason", advice))
	}
	return e.pool.run(ctx, e.tryOut, ready, drain)
}

// Check reports whether a conversion could start now. It is the Probe of a health.Check.
func (e *Engine) Check(context.Context) error { return e.pool.check() }

const (
	// maxCrashes is how many children a document may crash: the document may not be the cause of one crash, but it is the
	// cause of two in a row.
	maxCrashes = 2
	// maxLosses is how many zygotes a conversion may lose before it is left to another converter, or to a later
	// attempt.
	maxLosses = 3
)

// Convert implements engine.Engine. It waits while no LibreOffice is warm.
func (e *Engine) Convert(ctx context.Context, request engine.Request) (engine.Output, error) {
	in, err := checkInput(ctx, request)
	if err == nil {
		err = e.checkFilter(in.Format)
	}
	if err != nil {
		return engine.Output{}, err
	}
	if setup := pageSetupOf(request); setup != (pageSetup{}) {
		if request, in, err = e.setUpPages(ctx, request, in, setup); err != nil {
			return engine.Output{}, err
		}
	}
	output, err := e.convertVisible(ctx, request, in)
	output.HiddenSlides = in.slides.omitted(request)
	return output, err
}

// convertRetrying converts a document, in more than one attempt if LibreOffice crashes, its zygote is lost, or the child is
// starved.
func (e *Engine) convertRetrying(ctx context.Context, request engine.Request, in input) (engine.Output, error) {
	crashed, lost, starved := 0, 0, false
	for number := 1; ; number++ {
		output, err := e.attempt(ctx, request, in, number)
		switch {
		case ctx.Err() != nil && err != nil:
			return output, fmt.Errorf("convert: %w", errors.Join(ctx.Err(), err))
		case errors.Is(err, errCrashed):
			if crashed++; crashed == maxCrashes {
				return output, problem.New(problem.EngineCrashed, "The conversion crashed.").Because(err)
			}
		case errors.Is(err, errStarved) && !starved:
			starved = true
		case errors.Is(err, errNotSaved) && request.Options.GetPages() != "":
			return engine.Output{}, e.missingPages(ctx, request, in, err)
		case errors.Is(err, errZygoteGone), errors.Is(err, errUnanswered):
			if lost++; lost == maxLosses {
				return output, fmt.Errorf("convert, %d times: %w", maxLosses, err)
			}
		default:
			return output, err
		}
		e.log.Warn("conversion failed; trying again", zap.String("directory", request.Directory), logging.Trace(ctx), zap.Error(err))
	}
}

// missingPages determines whether pages could not be written because the document does not have them: LibreOffice does
// not report that. It converts the whole document to count its pages; only requests for missing pages have that cost.
func (e *Engine) missingPages(ctx context.Context, request engine.Request, in input, failure error) error {
	request.Directory = filepath.Join(request.Directory, "whole")
	if err := os.Mkdir(request.Directory, 0o700); err != nil {
		return fmt.Errorf("create a directory for the whole document: %w", err)
	}
	wanted := request.Options.GetPages()
	request.Options = withPages(request.Options, nil)
	whole, err := e.convertRetrying(ctx, request, in)
	if errors.Is(err, engine.ErrNoSpace) {
		return err
	}
	if err != nil {
		return failure
	}
	return pagesNotFound(whole.Pages, wanted).Because(failure)
}

func (e *Engine) attempt(ctx context.Context, request engine.Request, in input, number int) (engine.Output, error) {
	i, err := e.pool.acquire(ctx)
	if err != nil {
		return engine.Output{}, err
	}
	defer i.release()
	output, err := e.attemptIn(ctx, i, request, in, number)
	output.Engine = i.version
	return output, err
}

func (e *Engine) attemptIn(ctx context.Context, i *instance, request engine.Request, in input, number int) (engine.Output, error) {
	a, err := prepare(request, in, e.limits, number)
	if err != nil {
		return engine.Output{}, err
	}
	if in.layout.asWord {
		a.order.FontRules = e.wordRules
	}
	a.instance = i
	a.onStart = e.onStart
	a.freeSpace = e.freeSpace
	began := time.Now()
	working, span := e.phases.Span(ctx, "libreoffice")
	a.steps = e.phases.Sequence(working)
	finished, err := a.run(ctx)
	e.metrics.attempt(finished, err)
	span.SetAttributes(attribute.Int("docmill.child", number), attribute.String("docmill.end", endOf(finished, err)),
		attribute.Float64("docmill.cpu_seconds", finished.CPU.Seconds()))
	var output engine.Output
	if err == nil {
		output, err = e.judge(ctx, a, in.Result, finished)
	}
	a.steps.End(err)
	tracing.End(span, err)
	output.Spent = min(time.Since(began), e.limits.Timeout/2)
	return output, err
}

// tryOut converts the canary, a document that is known to be good.
func (e *Engine) tryOut(ctx context.Context, i *instance) error {
	canary := e.pool.config.warmUp()[0]
	source := warmUpFormat(canary)
	target, _ := source.Target(format.TargetPDF)
	directory := filepath.Join(i.directory, "canary")
	if err := os.Mkdir(directory, 0o700); err != nil {
		return fmt.Errorf("create a directory for the canary: %w", err)
	}
	request := engine.Request{
		Directory: directory, Source: filepath.Join(i.directory, "warm", canary), Format: source, Target: target,
	}
	in, err := checkInput(ctx, request)
	if err != nil {
		return fmt.Errorf("canary: %w", err)
	}
	if _, err := e.attemptIn(ctx, i, request, in, 1); err != nil {
		return fmt.Errorf("convert the canary: %w", err)
	}
	return nil
}
