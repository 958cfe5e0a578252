package resultcache

import (
	"sync"
	"time"
)

// pause is how long searches stop after one has timed out or failed. Without it, each submission would wait for the status service.
const pause = 5 * time.Second

// searches decides which submissions search for a result. If the status service does not answer a search, searches stop for the pause. Then
// one search, the probe, tests whether the service answers again. The others resume when it does.
type searches struct {
	pause time.Duration

	mu sync.Mutex
	// paused is set by a search without an answer, and cleared by a probe with one. until is the end of the pause.
	paused bool
	until  time.Time
	// probing is set during a probe.
	probing bool
}

// begin reports whether a submission may search. If so, the caller must call end. probe reports whether the search is a probe.
func (s *searches) begin() (probe, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.paused {
		return false, true
	}
	if s.probing || time.Now().Before(s.until) {
		return false, false
	}
	s.probing = true
	return true, true
}

// end notes whether a search was answered. Searches that began before a pause do not end it.
func (s *searches) end(probe, answered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !answered {
		s.paused, s.until = true, time.Now().Add(s.pause)
	}
	if probe {
		s.probing, s.paused = false, !answered
	}
}
