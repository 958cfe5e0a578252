package chaos

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// balancer distributes requests over the gateways that are ready, like a load balancer.
type balancer struct {
	gateways []*replica
	ready    atomic.Pointer[[]*replica]
}

// run asks all gateways whether they are ready, until ctx ends.
func (b *balancer) run(ctx context.Context) {
	const interval, timeout = 250 * time.Millisecond, time.Second
	for ctx.Err() == nil {
		answers := make([]error, len(b.gateways))
		limited, cancel := context.WithTimeout(ctx, timeout)
		var asking sync.WaitGroup
		for i, one := range b.gateways {
			asking.Go(func() { answers[i] = one.Accepts(limited) })
		}
		asking.Wait()
		cancel()
		var ready []*replica
		for i, one := range b.gateways {
			if answers[i] == nil {
				ready = append(ready, one)
			}
		}
		b.ready.Store(&ready)
		select {
		case <-time.After(interval):
		case <-ctx.Done():
		}
	}
}

// choose returns a gateway that is ready. If there is none, it returns one that is not.
func (b *balancer) choose() *replica {
	from := b.gateways
	if ready := b.ready.Load(); ready != nil && len(*ready) > 0 {
		from = *ready
	}
	return from[rand.IntN(len(from))] //nolint:gosec // not a secret
}
