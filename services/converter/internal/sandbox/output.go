package sandbox

import (
	"bytes"
	"strings"
	"sync"
)

// maxOutput is how much of a process's messages is kept, in bytes: a program's message is its first line, and the stack
// trace of a crash, which is useless without symbols, comes after it.
const maxOutput = 4 << 10

// head keeps the first limit bytes that are written to it and discards the rest, so that a process that writes without
// end neither blocks nor fills the memory. It is safe for concurrent use.
type head struct {
	limit int

	mu   sync.Mutex
	kept bytes.Buffer
}

// Write accepts everything.
func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept.Write(p[:min(len(p), h.limit-h.kept.Len())])
	return len(p), nil
}

// String returns what was kept.
func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.kept.String()
}

// message returns what was kept, trimmed, as valid UTF-8.
func (h *head) message() string {
	return strings.TrimSpace(strings.ToValidUTF8(h.String(), "\uFFFD"))
}
