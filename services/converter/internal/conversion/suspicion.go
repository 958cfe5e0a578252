package conversion

import (
	"errors"
	"fmt"
	"runtime/debug"
	"syscall"

	"go.uber.org/zap"

	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// errSuspicious means that the document may have caused a transient failure: with a panic, for example, or because it
// fills the disk. A job fails after a few of them, so that a hostile document is not converted again and again.
var errSuspicious = errors.New("the document may be the cause")

// errUncertain means a transient failure that the document, the machine or another job may have caused: a program was killed
// from outside, or the disk was full. See evidence.
var errUncertain = errors.New("the machine or another job may be the cause")

// suspect marks a transient failure of a conversion in a directory as suspicious or uncertain, unless the engine would have
// failed with any document.
func (a *attempt) suspect(err error, directory string) error {
	switch {
	case err == nil, documentFailed(err), errors.Is(err, engine.ErrUnavailable):
		return err
	case errors.Is(err, sandbox.ErrKilled), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE),
		errors.Is(err, engine.ErrNoSpace) && !a.exceedsShare(directory):
		return fmt.Errorf("%w (%w)", err, errUncertain)
	default:
		return suspicious(err)
	}
}

// suspicious marks an error as suspicious.
func suspicious(err error) error { return fmt.Errorf("%w (%w)", err, errSuspicious) }

// recoverTo turns a panic into an error. Parsers of hostile documents run in this process beside the work on other
// jobs: a bug that a document triggers in them must end its own job only. It must be called directly by defer.
func (a *attempt) recoverTo(err *error) {
	if cause := recover(); cause != nil {
		a.log.Error("panic", zap.Any("panic", cause), zap.ByteString("stack", debug.Stack()))
		*err = fmt.Errorf("panic: %v (%w)", cause, errSuspicious)
	}
}

// ignorePanic logs a panic. It is for work on the report: no conversion fails because of its report. It must be called
// directly by defer.
func (a *attempt) ignorePanic() {
	if cause := recover(); cause != nil {
		a.log.Error("panic; part of the report is missing", zap.Any("panic", cause), zap.ByteString("stack", debug.Stack()))
	}
}
