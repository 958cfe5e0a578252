package libreoffice

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/docmill/docmill/contract/detect"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/libreoffice/wire"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// errCrashed says that a child crashed; another may do better, once.
var errCrashed = errors.New("the conversion crashed")

// errNotSaved says that LibreOffice opened the document and could not write the result.
var errNotSaved = errors.New("not saved")

// errRefused says that the parent could not fork: the machine is short of memory or processes.
var errRefused = errors.New("refused")

// judge decides what an attempt came to, by what happened and not by what LibreOffice says of it. An error with
// errCrashed in its chain is not final.
func (e *Engine) judge(ctx context.Context, a attempt, source detect.Result, finished end) (engine.Output, error) {
	said := fmt.Errorf("the child ended with %d (signal %d, %d MiB, %s of processor time); LibreOffice said: %q",
		finished.Outcome, finished.Signal, finished.PeakMemory>>20, finished.CPU, finished.said)
	if failure := limited(a, finished); failure != nil {
		return engine.Output{}, failure.Because(errors.Join(finished.limit, said))
	}
	if finished.Signal != 0 {
		return engine.Output{}, fmt.Errorf("%w: %w", errCrashed, said)
	}
	switch finished.Outcome {
	case wire.Converted:
		return e.inspect(ctx, a, said)
	case wire.PasswordWrong:
		return engine.Output{}, problem.New(problem.PasswordWrong, "The password does not open the document.").Because(said)
	case wire.PasswordRequired:
		return engine.Output{}, problem.New(problem.PasswordRequired, "The document is encrypted.").Because(said)
	case wire.LoadFailed:
		// LibreOffice did not even ask for the password: it knows none of the encryptions of binary presentations.
		if source.Encrypted && a.request.Password != nil {
			return engine.Output{}, problem.New(problem.FormatUnsupported, "The document is encrypted in a way that is not supported.").Because(said)
		}
		if source.Encrypted {
			return engine.Output{}, problem.New(problem.PasswordRequired, "The document is encrypted.").Because(said)
		}
		return engine.Output{}, problem.New(problem.DocumentMalformed, "The document could not be opened.").Because(said)
	case wire.SaveFailed:
		return engine.Output{}, problem.New(problem.DocumentMalformed, "The document could not be exported.").Because(errors.Join(errNotSaved, said))
	case wire.NotConfined:
		return engine.Output{}, fmt.Errorf("lock the child in: %w", said)
	default: // LibreOffice ended it: with 77 or 79, its codes for a fatal error, or any other
		return engine.Output{}, fmt.Errorf("%w: %w", errCrashed, said)
	}
}

// limited tells the limit that an attempt has ended at, or nil.
func limited(a attempt, finished end) *problem.Error {
	const tooComplexForMemory = "The conversion was ended at its memory limit."
	switch {
	case errors.Is(finished.limit, sandbox.ErrTime) || syscall.Signal(finished.Signal) == syscall.SIGXCPU:
		return problem.New(problem.ConversionTimeout, "The conversion was ended at its time limit.")
	case errors.Is(finished.limit, sandbox.ErrDisk) || syscall.Signal(finished.Signal) == syscall.SIGXFSZ:
		return problem.New(problem.DocumentTooComplex, "The conversion was ended because its result grew too large.")
	case finished.Signal == 0 && finished.Outcome == wire.OutOfMemory:
		return problem.New(problem.DocumentTooComplex, tooComplexForMemory)
	case failedInPart(finished) && finished.PeakMemory > a.limits.memory/4*3:
		// Not every part of LibreOffice survives a refused allocation for long enough to tell.
		return problem.New(problem.DocumentTooComplex, tooComplexForMemory)
	default:
		return nil
	}
}

// failedInPart says that the child did not come to the end that it was made for.
func failedInPart(finished end) bool {
	return finished.Signal != 0 || finished.Outcome != wire.Converted
}

// inspect looks at the result.
func (e *Engine) inspect(ctx context.Context, a attempt, said error) (engine.Output, error) {
	output, err := engine.Inspect(ctx, e.pdf, a.asked, a.target)
	if err != nil {
		return engine.Output{}, fmt.Errorf("%w; %w", err, said)
	}
	if a.limits.pages > 0 && output.Pages > a.limits.pages {
		return engine.Output{}, problem.New(problem.DocumentTooComplex, "The result has %d pages; the most, by the setting conversion-pages, is %d.", output.Pages, a.limits.pages).Because(said)
	}
	return output, nil
}
