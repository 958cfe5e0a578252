package resultcache

import (
	"sync"
	"time"
)

// pause is how long nothing is searched after the status service has not answered. Otherwise each submission would wait for it.
const pause = 5 * time.Second

// searches decides which submissions search for a result. After the status service has not answered, none does for the pause; then one
// search tries whether it answers again, and the others go on only when it does.
type searches struct {
	pause time.Duration

	mu sync.Mutex
	// paused is set from a search without an answer until the next one with an answer, and until is the end of the pause.
	paused bool
	until  time.Time
	// probing is set during the one search after a pause.
	probing bool
}

// begin reports whether a submission may search. If so, the caller calls end. probe is set for the one search after a pause.
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
