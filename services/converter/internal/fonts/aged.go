package fonts

import (
	"context"
	"sync"
	"time"
)

// aged is a value that is read again when it is older than maxAge. It is safe for concurrent use.
type aged[T any] struct {
	mu    sync.Mutex
	at    time.Time
	value T
}

// get returns the value, which it reads if it is too old. If that fails, it returns the value from before, and the next attempt is
// as late as after a success, unless ctx has ended.
func (a *aged[T]) get(ctx context.Context, read func() (T, error)) T {
	a.mu.Lock()
	defer a.mu.Unlock() // concurrent callers wait for this one's reading
	if !a.at.IsZero() && time.Since(a.at) < maxAge {
		return a.value
	}
	value, err := read()
	if err != nil && ctx.Err() != nil {
		return a.value
	}
	if err == nil {
		a.value = value
	}
	a.at = time.Now()
	return a.value
}

// last returns the value that was read last.
func (a *aged[T]) last() T {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.value
}
