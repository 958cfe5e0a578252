// Package feed reports which jobs change, to any number of subscribers. Each gateway has one subscription, in place of
// one request per client that waits.
package feed

import (
	"sync"

	"github.com/google/uuid"

	"github.com/docmill/docmill/services/status/jobstore"
)

// Feed is an audience of a job store that passes changes on. It is safe for concurrent use; the zero value is not.
type Feed struct {
	mu          sync.Mutex
	subscribers map[*Subscription]struct{}
}

var _ jobstore.Audience = (*Feed)(nil)

// New returns a feed without subscribers.
func New() *Feed { return &Feed{subscribers: map[*Subscription]struct{}{}} }

// maxPending is the number of changed jobs that a subscription keeps for a slow reader: 160 KiB of ids. With more, it
// reports that all jobs may have changed.
const maxPending = 10_000

// Subscription collects the changes since the last call of Take. It is used by one goroutine.
type Subscription struct {
	feed    *Feed
	changed chan struct{}
	pending map[uuid.UUID]struct{} // guarded by feed.mu
	all     bool                   // guarded by feed.mu
}

// Subscribe returns a subscription to the changes from now on. The caller must call Close.
func (f *Feed) Subscribe() *Subscription {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &Subscription{feed: f, changed: make(chan struct{}, 1), pending: map[uuid.UUID]struct{}{}}
	f.subscribers[s] = struct{}{}
	return s
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	delete(s.feed.subscribers, s)
}

// Changed returns a channel that receives a value when there is something to take.
func (s *Subscription) Changed() <-chan struct{} { return s.changed }

// Take returns the jobs that have changed since the last call, in no order; all means that any job may have changed.
func (s *Subscription) Take() (ids []uuid.UUID, all bool) {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	all = s.all
	for id := range s.pending {
		ids = append(ids, id)
	}
	s.all, s.pending = false, map[uuid.UUID]struct{}{}
	return ids, all
}

// Wake implements [jobstore.Audience].
func (f *Feed) Wake(ids ...uuid.UUID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.subscribers {
		s.add(ids)
	}
}

// WakeAll implements [jobstore.Audience].
func (f *Feed) WakeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.subscribers {
		s.addAll()
	}
}

func (s *Subscription) add(ids []uuid.UUID) {
	if s.all {
		return
	}
	for _, id := range ids {
		s.pending[id] = struct{}{}
	}
	if len(s.pending) > maxPending {
		s.addAll()
		return
	}
	s.signal()
}

func (s *Subscription) addAll() {
	s.all = true
	clear(s.pending)
	s.signal()
}

func (s *Subscription) signal() {
	select {
	case s.changed <- struct{}{}:
	default: // it has not seen the previous signal yet
	}
}
