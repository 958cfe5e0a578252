package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.uber.org/zap"
)

// Sequence returns a component that runs components as a service does: they start one after another and stop in reverse
// order. It fails when one of them does.
func Sequence(name string, log *zap.Logger, components ...Component) Component {
	return Component{Name: name, Run: func(ctx context.Context, ready func(), drain <-chan struct{}) error {
		h := &running{log: log, failed: make(chan error, len(components))}
		stop, cancel := Context(ctx, drain)
		defer cancel()
		cause := h.start(stop, ctx, nil, components)
		if cause == nil {
			ready()
			cause = h.wait(stop, nil)
		}
		var failures []error
		if !errors.Is(cause, errStop) {
			failures = append(failures, cause)
		}
		for _, component := range slices.Backward(h.components) {
			close(component.drain)
			<-component.done // when ctx ends, it returns at once
			if component.err != nil && errors.Is(cause, errStop) {
				failures = append(failures, fmt.Errorf("stop %s: %w", component.name, component.err))
			}
		}
		return errors.Join(failures...)
	}}
}

// Parallel returns a component that runs components at the same time: they start together, and stop together when it is
// drained or one of them ends.
func Parallel(name string, components ...Component) Component {
	return Component{Name: name, Run: func(ctx context.Context, ready func(), drain <-chan struct{}) error {
		stop, cancel := Context(ctx, drain)
		defer cancel()
		var starting, running sync.WaitGroup
		failures := make([]error, len(components))
		for i, component := range components {
			starting.Add(1)
			started := sync.OnceFunc(starting.Done)
			running.Go(func() {
				defer started()
				defer cancel() // the others stop too
				if err := component.Run(ctx, started, stop.Done()); err != nil {
					failures[i] = fmt.Errorf("%s: %w", component.Name, err)
				}
			})
		}
		starting.Wait()
		if stop.Err() == nil {
			ready()
		}
		running.Wait()
		return errors.Join(failures...)
	}}
}
