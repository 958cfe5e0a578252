package conversion

import (
	"errors"
	"sync"
)

// errMissing means that the document is not in the store, or was replaced. The job fails only after several misses, which
// the retry schedule spreads over more than a minute.
var errMissing = errors.New("the document is missing")

// misses remembers which documents this converter did not find. A converter may use the wrong store, in which all documents
// are missing, so a miss counts only while the converter is trusted. It is safe for concurrent use.
type misses struct {
	mu sync.Mutex
	// trusted means that the converter has found a document, and not missed too many since.
	trusted bool
	// jobs are those whose documents were missing since the last one that was found.
	jobs map[string]bool
}

// maxMissed is how many documents in a row may be missing before this converter is no longer trusted.
const maxMissed = 3

// found notes that a document was found.
func (m *misses) found() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trusted, m.jobs = true, nil
}

// missed notes that a job's document was not found, and reports whether that counts.
func (m *misses) missed(job string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.trusted {
		return false
	}
	if m.jobs == nil {
		m.jobs = map[string]bool{}
	}
	m.jobs[job] = true
	m.trusted = len(m.jobs) < maxMissed
	return m.trusted
}
