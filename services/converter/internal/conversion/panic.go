package conversion

import (
	"errors"
	"fmt"
	"runtime/debug"

	"go.uber.org/zap"
)

// errPanic means that this program has a bug that a document may have found.
var errPanic = errors.New("panic")

// recoverTo turns a panic into an error. Parsers of hostile documents run in this process beside the work on other
// jobs: a bug that a document triggers in them must end its own job only. It must be called directly by defer.
func (a *attempt) recoverTo(err *error) {
	if cause := recover(); cause != nil {
		a.log.Error("panic", zap.Any("panic", cause), zap.ByteString("stack", debug.Stack()))
		*err = fmt.Errorf("%w: %v", errPanic, cause)
	}
}

// ignorePanic logs a panic. It is for work on the report: no conversion fails because of its report. It must be called
// directly by defer.
func (a *attempt) ignorePanic() {
	if cause := recover(); cause != nil {
		a.log.Error("panic; part of the report is missing", zap.Any("panic", cause), zap.ByteString("stack", debug.Stack()))
	}
}
