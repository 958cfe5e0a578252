package sandbox

import (
	"bytes"
	"strings"
	"sync"
)

// maxOutput is how much of a process's output is kept, in bytes: LibreOffice's message is its first line, and a crash's
// stack, which nobody can use without symbols, comes after it.
const maxOutput = 4 << 10

// head keeps the beginning of what is written to it and swallows the rest, so that a process that writes for ever
// neither blocks nor fills the memory.
type head struct {
	mu   sync.Mutex
	kept bytes.Buffer
}

// Write takes everything.
func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept.Write(p[:min(len(p), maxOutput-h.kept.Len())])
	return len(p), nil
}

// String gives what was kept, as valid UTF-8.
func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(h.kept.String(), "\uFFFD"))
}
