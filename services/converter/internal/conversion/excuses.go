package conversion

import (
	"sync"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// isolateAfter is the number of excused failures after which a job is converted in isolation.
const isolateAfter = 2

// excuses decides whether an uncertain failure counts against its job. Outside isolation it is excused, because another job
// in this converter may be the cause. After isolateAfter excuses the job is converted in isolation. There the document or the
// machine is the cause, and it is the machine if other jobs fail in the same way: the failure counts if only this job has failed
// since a conversion succeeded. It is safe for concurrent use.
type excuses struct {
	mu sync.Mutex
	// job is the first one that has failed since a conversion succeeded; empty if none has.
	job string
	// others means that further ones have.
	others bool
}

// succeeded notes that a conversion succeeded.
func (e *excuses) succeeded() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.job, e.others = "", false
}

// failed notes an uncertain failure of a job, and reports whether no other job has failed since a conversion succeeded.
func (e *excuses) failed(job string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.job == "" {
		e.job = job
	}
	e.others = e.others || e.job != job
	return !e.others
}

// count counts an uncertain failure of an attempt in its next command.
func (e *excuses) count(next *conversionv1.ConvertRequested, isolated bool) {
	only := e.failed(next.GetJobId())
	switch {
	case !isolated:
		next.Excuses++
	case only:
		next.Suspicions++
	}
}
