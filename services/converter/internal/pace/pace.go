// Package pace measures how long conversions take at present.
package pace

import (
	"sync"
	"time"
)

// weight is the weight of the latest conversion in the average: half of the average comes from the last 11.
const weight = 1. / 16

// Average is the moving average of durations. The zero value has none yet. It is safe for concurrent use.
type Average struct {
	mu      sync.Mutex
	average time.Duration
}

// Add adds a duration, which must be positive.
func (a *Average) Add(took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.average == 0 {
		a.average = took
		return
	}
	a.average += time.Duration(weight * float64(took-a.average))
}

// Duration returns the average; 0 if nothing was added yet.
func (a *Average) Duration() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.average
}
