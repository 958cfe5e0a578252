package clock

import "time"

// Sleep lets the machine sleep since the last reading: the wall clock advances, and the monotonic clock stands still.
func (c *Clock) Sleep(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wallAt = c.wallAt.Add(-d)
}
