package host

import (
	"context"
	"sync/atomic"
)

// Phase is a phase in the life of a service.
type Phase int32

// The phases of a service, in order.
const (
	// Starting means that not all components are ready yet.
	Starting Phase = iota
	// Serving means that all components are ready.
	Serving
	// Leaving means that the service is about to stop or is stopping: clients should use another replica.
	Leaving
)

type phaseKey struct{}

// withPhase returns a context whose phase is what phase holds.
func withPhase(ctx context.Context, phase *atomic.Int32) context.Context {
	return context.WithValue(ctx, phaseKey{}, phase)
}

// PhaseOf returns the phase of the service, for the context of a component or one that is derived from it. For any
// other context it returns Serving.
func PhaseOf(ctx context.Context) Phase {
	if phase, ok := ctx.Value(phaseKey{}).(*atomic.Int32); ok {
		return Phase(phase.Load())
	}
	return Serving
}
