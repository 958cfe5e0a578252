package resultcache

import "time"

// SetPause sets how long nothing is searched after a search without an answer.
func (c *Cache) SetPause(pause time.Duration) { c.searches.pause = pause }
