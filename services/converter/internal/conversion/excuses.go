package conversion

import (
	"sync"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// isolateAfter is the number of excused failures after which a job is converted in isolation.
const isolateAfter = 2

// excuses decides whether an uncertain failure counts against its job. Outside isolation it does not, because another job
// in this converter may be the cause. After isolateAfter such failures, the job is converted in isolation. Then the cause
// is either the document or the machine, and if other jobs fail in the same way, it is the machine. So a failure in
// isolation counts if no other job has failed since a conversion succeeded. excuses is safe for concurrent use.
type excuses struct {
	mu sync.Mutex
	// job is the first job that has failed since a conversion succeeded; empty if none has.
	job string
	// others means that other jobs have failed too.
	others bool
}

// succeeded records that a conversion succeeded.
func (e *excuses) succeeded() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.job, e.others = "", false
}

// failed records an uncertain failure of a job, and reports whether no other job has failed since a conversion
// succeeded.
func (e *excuses) failed(job string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.job == "" {
		e.job = job
	}
	e.others = e.others || e.job != job
	return !e.others
}

// count records an uncertain failure of an attempt in the command for the next one.
func (e *excuses) count(next *conversionv1.ConvertRequested, isolated bool) {
	only := e.failed(next.GetJobId())
	switch {
	case !isolated:
		next.Excuses++
	case only:
		next.Suspicions++
	}
}
