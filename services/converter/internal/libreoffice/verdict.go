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

// errCrashed means that a child crashed; the conversion is tried once more.
var errCrashed = errors.New("the conversion crashed")

// errKilled means that a child was killed from outside: by an operator, or by the kernel because the machine or the container
// is short of memory. It is not tried again at once.
var errKilled = errors.New("the conversion was killed")

// errNotSaved means that LibreOffice opened the document and could not write the result.
var errNotSaved = errors.New("not saved")

// errStarved means that a child exceeded its time limit without using much of the processor: it waited for something, or did
// not get the processor. The conversion is tried once more.
var errStarved = errors.New("the child used little processor time")

// starvedShare is the share of the time limit below which a child that exceeded the limit was starved.
const starvedShare = 4

// errRefused means that the zygote could not fork: the machine is short of memory or processes.
var errRefused = fmt.Errorf("%w: refused", engine.ErrUnavailable)

// judge returns the result of an attempt, by how it ended and not by LibreOffice's messages. An error with errCrashed
// in its chain is not final.
func (e *Engine) judge(ctx context.Context, a attempt, source detect.Result, finished ending) (engine.Output, error) {
	details := fmt.Errorf("the child exited with %d (signal %d, %d MiB, %s of processor time); LibreOffice's message: %q",
		finished.Outcome, finished.Signal, finished.PeakMemory>>20, finished.CPU, finished.explanation)
	if failure := limited(a, finished); failure != nil {
		reason := errors.Join(finished.limit, details)
		if errors.Is(finished.limit, sandbox.ErrTime) && finished.CPU < a.limits.Timeout/starvedShare {
			reason = errors.Join(errStarved, reason)
		}
		return engine.Output{}, failure.Because(reason)
	}
	if diskFull(a, finished) {
		return engine.Output{}, engine.NoSpace(details)
	}
	if killed(finished) && finished.PeakMemory <= int64(a.limits.Memory)/2 { // too little to be the reason for a lack of memory
		return engine.Output{}, fmt.Errorf("%w: %w (%w)", errKilled, details, sandbox.ErrKilled)
	}
	if killed(finished) {
		return engine.Output{}, fmt.Errorf("%w: %w", errKilled, details)
	}
	if finished.Signal != 0 {
		return engine.Output{}, fmt.Errorf("%w: %w", errCrashed, details)
	}
	switch finished.Outcome {
	case wire.Converted:
		output, err := e.finish(ctx, a, details)
		if err != nil && ctx.Err() == nil && finished.minFree < a.limits.MinFree() {
			return engine.Output{}, engine.NoSpace(err)
		}
		return output, err
	case wire.PasswordWrong:
		return engine.Output{}, problem.New(problem.PasswordWrong, "The password does not open the document.").Because(details)
	case wire.PasswordRequired:
		return engine.Output{}, problem.New(problem.PasswordRequired, "The document is encrypted.").Because(details)
	case wire.LoadFailed:
		// LibreOffice did not ask for the password: it does not know the encryption of binary presentations.
		if source.Encrypted && a.Password != nil {
			return engine.Output{}, problem.New(problem.FormatUnsupported, "The encryption of the document is not supported.").Because(details)
		}
		if source.Encrypted {
			return engine.Output{}, problem.New(problem.PasswordRequired, "The document is encrypted.").Because(details)
		}
		return engine.Output{}, problem.New(problem.DocumentMalformed, "The document could not be opened.").Because(details)
	case wire.SaveFailed:
		return engine.Output{}, problem.New(problem.DocumentMalformed, "The document could not be exported.").Because(errors.Join(errNotSaved, details))
	case wire.NotConfined:
		return engine.Output{}, fmt.Errorf("%w: sandbox the child: %w", engine.ErrUnavailable, details)
	default: // LibreOffice exited by itself: with 77 or 79, its codes for a fatal error, or another one
		return engine.Output{}, fmt.Errorf("%w: %w", errCrashed, details)
	}
}

// diskFull reports whether a full disk may be the reason for a failure, or may have damaged the result.
func diskFull(a attempt, finished ending) bool {
	switch {
	case finished.Signal != 0:
		return finished.minFree < a.limits.MinFree()
	case finished.Outcome == wire.Converted:
		return finished.minFree < engine.MinFreeOfResult
	case finished.Outcome == wire.PasswordRequired: // LibreOffice has not begun to decrypt
		return false
	default: // also a wrong password: LibreOffice decrypts into a file, and says the same if it cannot write it
		return finished.minFree < a.limits.MinFree()
	}
}

// limited returns the limit at which an attempt ended, as the document's problem, or nil.
func limited(a attempt, finished ending) *problem.Error {
	const tooComplexForMemory = "The conversion exceeded its memory limit and was stopped."
	switch {
	case errors.Is(finished.limit, sandbox.ErrTime) || syscall.Signal(finished.Signal) == syscall.SIGXCPU:
		return problem.New(problem.ConversionTimeout, "The conversion exceeded its time limit and was stopped.")
	case errors.Is(finished.limit, sandbox.ErrDisk) || syscall.Signal(finished.Signal) == syscall.SIGXFSZ:
		return problem.New(problem.DocumentTooComplex, "The conversion exceeded its disk space limit and was stopped.")
	case finished.Signal == 0 && finished.Outcome == wire.OutOfMemory:
		return problem.New(problem.DocumentTooComplex, tooComplexForMemory)
	case failed(finished) && !killed(finished) && finished.PeakMemory > int64(a.limits.Memory)/4*3:
		// Not every part of LibreOffice survives a refused allocation for long enough to report it.
		return problem.New(problem.DocumentTooComplex, tooComplexForMemory)
	default:
		return nil
	}
}

// failed reports whether the child did not convert the document.
func failed(finished ending) bool {
	return finished.Signal != 0 || finished.Outcome != wire.Converted
}

// killed reports whether the child was killed from outside, not at a limit. A crash has another signal.
func killed(finished ending) bool {
	return finished.limit == nil && syscall.Signal(finished.Signal) == syscall.SIGKILL
}

// finish checks the result.
func (e *Engine) finish(ctx context.Context, a attempt, details error) (engine.Output, error) {
	output, err := finishOutput(ctx, e.pdf, a.Request, a.target)
	if err != nil {
		return engine.Output{}, fmt.Errorf("%w; %w", err, details)
	}
	if limit := a.limits.Pages; limit > 0 && output.Pages > limit {
		return engine.Output{}, problem.New(problem.DocumentTooComplex,
			"The result has %d pages; the setting conversion-pages allows %d.", output.Pages, limit).Because(details)
	}
	return output, nil
}
