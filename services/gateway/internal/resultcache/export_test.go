package resultcache

import "time"

// SetPause sets how long searches stop after one without an answer.
func (c *Cache) SetPause(pause time.Duration) { c.searches.pause = pause }
