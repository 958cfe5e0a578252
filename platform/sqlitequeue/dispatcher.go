package sqlitequeue

import (
	"context"
	"slices"
	"sync"
)

// dispatcher shares the messages of one queue that are ready between those who wait for them, in the order of their
// requests.
type dispatcher struct {
	mu sync.Mutex
	// ready counts messages that are ready and not promised.
	ready    int
	requests []*claimRequest
}

// claimRequest waits for messages.
type claimRequest struct {
	limit    int
	promised chan int // buffered
}

// add counts further messages that are ready, and promises them to those who wait.
func (d *dispatcher) add(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ready += n
	for d.ready > 0 && len(d.requests) > 0 {
		first := d.requests[0]
		d.requests = d.requests[1:]
		promised := min(first.limit, d.ready)
		d.ready -= promised
		first.promised <- promised
	}
}

// take waits until messages are ready and returns how many, at most limit, the caller may claim. It returns 0 if ctx
// ends first.
func (d *dispatcher) take(ctx context.Context, limit int) int {
	if ctx.Err() != nil {
		return 0
	}
	d.mu.Lock()
	if d.ready > 0 { // so no other request is waiting
		promised := min(limit, d.ready)
		d.ready -= promised
		d.mu.Unlock()
		return promised
	}
	r := &claimRequest{limit: limit, promised: make(chan int, 1)}
	d.requests = append(d.requests, r)
	d.mu.Unlock()
	select {
	case promised := <-r.promised:
		return promised
	case <-ctx.Done():
	}
	d.mu.Lock()
	i := slices.Index(d.requests, r)
	if i >= 0 {
		d.requests = slices.Delete(d.requests, i, i+1)
	}
	d.mu.Unlock()
	if i < 0 { // the promise was made at the same moment
		d.add(<-r.promised)
	}
	return 0
}

// waiting returns how many messages are ready and not promised.
func (d *dispatcher) waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ready
}
