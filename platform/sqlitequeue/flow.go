package sqlitequeue

import (
	"context"
	"sync"
)

// flow controls whether the workers of a consumer take deliveries. It is safe for concurrent use.
type flow struct {
	stop context.Context //nolint:containedctx // the lifetime of the flow

	mu sync.Mutex
	// taking ends when the flow is suspended.
	taking context.Context //nolint:containedctx // it is part of the state
	end    context.CancelFunc
	// resumed is closed when the flow is resumed. It is nil while the flow is not suspended.
	resumed chan struct{}
}

// newFlow returns a flow that ends with stop.
func newFlow(stop context.Context) *flow {
	f := &flow{stop: stop}
	f.taking, f.end = context.WithCancel(stop)
	return f
}

// await waits while the flow is suspended. It returns a context for taking deliveries, which ends when the flow is
// suspended or stops.
func (f *flow) await() context.Context {
	for {
		f.mu.Lock()
		taking, resumed := f.taking, f.resumed
		f.mu.Unlock()
		if resumed == nil {
			return taking
		}
		select {
		case <-resumed:
		case <-f.stop.Done():
			return f.stop
		}
	}
}

// suspend makes all workers wait until resume is called.
func (f *flow) suspend() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.resumed == nil {
		f.end()
		f.resumed = make(chan struct{})
	}
}

// resume ends the wait.
func (f *flow) resume() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.resumed != nil {
		f.taking, f.end = context.WithCancel(f.stop)
		close(f.resumed)
		f.resumed = nil
	}
}

// suspended reports whether the flow is suspended.
func (f *flow) suspended() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resumed != nil
}
