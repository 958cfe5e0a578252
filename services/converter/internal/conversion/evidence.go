package conversion

import (
	"sync"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// isolateAfter is the number of uncertain failures after which a job is converted in isolation.
const isolateAfter = 2

// evidence decides whether an uncertain failure counts against its job. Outside isolation it does not, because another job
// in this converter may be the cause. After isolateAfter such failures, the job is converted in isolation. Then the cause
// is either the document or the machine. It is the document if this converter has converted another one since its last
// uncertain failure. An evidence is safe for concurrent use.
type evidence struct {
	mu sync.Mutex
	// works means that a conversion has succeeded since the last uncertain failure of any job.
	works bool
}

// succeeded records that a conversion succeeded.
func (e *evidence) succeeded() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.works = true
}

// failed records an uncertain failure, and reports whether a conversion had succeeded since the one before.
func (e *evidence) failed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	worked := e.works
	e.works = false
	return worked
}

// count records an uncertain failure of an attempt in the command for the next one.
func (e *evidence) count(next *conversionv1.ConvertRequested, isolated bool) {
	worked := e.failed()
	switch {
	case !isolated:
		next.UncertainFailures++
	case worked:
		next.Suspicions++
	}
}
