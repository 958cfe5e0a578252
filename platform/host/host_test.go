package host

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
)

// journal notes what parts do, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) part(name string) Component {
	return Component{Name: name, Run: func(_ context.Context, ready func(), drain <-chan struct{}) error {
		j.note("start " + name)
		ready()
		<-drain
		j.note("stop " + name)
		return nil
	}}
}

func stuck(name string, running chan<- struct{}) Component {
	return Component{Name: name, Run: func(ctx context.Context, ready func(), _ <-chan struct{}) error {
		ready()
		close(running)
		<-ctx.Done()
		return ctx.Err()
	}}
}

func TestStartsInOrderAndStopsInReverse(t *testing.T) {
	t.Parallel()
	j := &journal{}
	signals := make(chan os.Signal, 2)
	last := Component{Name: "c", Run: func(_ context.Context, ready func(), drain <-chan struct{}) error {
		ready()
		signals <- syscall.SIGTERM
		<-drain
		return nil
	}}
	err := run(t.Context(), zaptest.NewLogger(t), Config{DrainTimeout: time.Minute}, signals, []Component{j.part("a"), j.part("b"), last})
	require.NoError(t, err)
	require.Equal(t, []string{"start a", "start b", "stop b", "stop a"}, j.lines)
}

func TestFailingComponentStopsTheOthers(t *testing.T) {
	t.Parallel()
	j := &journal{}
	boom := errors.New("boom")
	failing := Component{Name: "f", Run: func(context.Context, func(), <-chan struct{}) error { return boom }}
	err := run(t.Context(), zaptest.NewLogger(t), Config{DrainTimeout: time.Minute}, nil, []Component{j.part("a"), failing, j.part("never")})
	require.ErrorIs(t, err, boom)
	require.ErrorContains(t, err, "f: boom")
	require.Equal(t, []string{"start a", "stop a"}, j.lines)
}

func TestUnexpectedEndIsAFailure(t *testing.T) {
	t.Parallel()
	quitter := Component{Name: "q", Run: func(_ context.Context, ready func(), _ <-chan struct{}) error { ready(); return nil }}
	err := run(t.Context(), zaptest.NewLogger(t), Config{DrainTimeout: time.Minute}, nil, []Component{quitter})
	require.ErrorContains(t, err, "q: ended unexpectedly")
}

func TestContextEndsTheServiceCleanly(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	part := Component{Name: "p", Run: func(hard context.Context, ready func(), drain <-chan struct{}) error {
		ready()
		cancel()
		<-drain
		return hard.Err()
	}}
	require.NoError(t, run(ctx, zaptest.NewLogger(t), Config{DrainTimeout: time.Minute}, nil, []Component{part}))
}

func TestDrainDeadlineAbandons(t *testing.T) {
	t.Parallel()
	j := &journal{}
	running, signals := make(chan struct{}), make(chan os.Signal)
	go func() {
		<-running
		signals <- syscall.SIGTERM
	}()
	err := run(t.Context(), zaptest.NewLogger(t), Config{DrainTimeout: time.Millisecond}, signals, []Component{j.part("a"), stuck("s", running)})
	require.ErrorIs(t, err, ErrAbandoned)
	require.ErrorContains(t, err, "the drain deadline passed while s was stopping")
}

func TestSecondSignalAbandons(t *testing.T) {
	t.Parallel()
	j := &journal{}
	running, signals := make(chan struct{}), make(chan os.Signal)
	go func() {
		<-running
		signals <- syscall.SIGTERM
		signals <- syscall.SIGTERM
	}()
	err := run(t.Context(), zaptest.NewLogger(t), Config{DrainTimeout: time.Hour}, signals, []Component{j.part("a"), stuck("s", running)})
	require.ErrorIs(t, err, ErrAbandoned)
	require.ErrorContains(t, err, "a second signal arrived while s was stopping")
	require.Equal(t, []string{"start a", "stop a"}, j.lines)
}

// TestDrainDelay checks that components work for the delay, and can know that the service is about to stop.
func TestDrainDelay(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal, 2)
	const delay = 50 * time.Millisecond
	var lasted time.Duration
	part := Component{Name: "p", Run: func(ctx context.Context, ready func(), drain <-chan struct{}) error {
		ready()
		signals <- syscall.SIGTERM
		began := time.Now()
		<-drain
		lasted = time.Since(began)
		if PhaseOf(ctx) != Leaving {
			return errors.New("the phase is not Leaving")
		}
		return nil
	}}
	require.NoError(t, run(t.Context(), zaptest.NewLogger(t), Config{DrainDelay: delay, DrainTimeout: time.Minute}, signals, []Component{part}))
	require.GreaterOrEqual(t, lasted, delay)
}

func TestSecondSignalEndsTheDrainDelay(t *testing.T) {
	t.Parallel()
	running, signals := make(chan struct{}), make(chan os.Signal)
	go func() {
		<-running
		signals <- syscall.SIGTERM
		signals <- syscall.SIGTERM
	}()
	config := Config{DrainDelay: time.Hour, DrainTimeout: time.Hour}
	err := run(t.Context(), zaptest.NewLogger(t), config, signals, []Component{stuck("s", running)})
	require.ErrorIs(t, err, ErrAbandoned)
}

func TestFailureEndsTheDrainDelay(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal)
	boom := errors.New("boom")
	failing := Component{Name: "f", Run: func(_ context.Context, ready func(), _ <-chan struct{}) error {
		ready()
		signals <- syscall.SIGTERM
		return boom
	}}
	config := Config{DrainDelay: time.Hour, DrainTimeout: time.Hour}
	require.ErrorIs(t, run(t.Context(), zaptest.NewLogger(t), config, signals, []Component{failing}), boom)
}

// TestAbandonedComponentsEndOneAfterAnother checks that a component can use those before it until it has returned.
func TestAbandonedComponentsEndOneAfterAnother(t *testing.T) {
	t.Parallel()
	j := &journal{}
	signals := make(chan os.Signal, 2)
	part := func(name string) Component {
		return Component{Name: name, Run: func(ctx context.Context, ready func(), drain <-chan struct{}) error {
			ready()
			if name == "c" {
				signals <- syscall.SIGTERM
			}
			<-drain
			j.note("drain " + name)
			<-ctx.Done()
			<-time.After(10 * time.Millisecond) // the next one could begin to drain
			j.note("end " + name)
			return nil
		}}
	}
	err := run(t.Context(), zaptest.NewLogger(t), Config{DrainTimeout: time.Millisecond}, signals, []Component{part("a"), part("b"), part("c")})
	require.ErrorIs(t, err, ErrAbandoned)
	require.Equal(t, []string{"drain c", "end c", "drain b", "end b", "drain a", "end a"}, j.lines)
}

func TestContextEndsWithDrainOrItsParent(t *testing.T) {
	t.Parallel()
	drain := make(chan struct{})
	drained, cancel := Context(t.Context(), drain)
	defer cancel()
	require.NoError(t, drained.Err())
	close(drain)
	<-drained.Done()

	cause := errors.New("the parent's")
	parent, end := context.WithCancelCause(t.Context())
	ended, cancel := Context(parent, nil)
	defer cancel()
	end(cause)
	<-ended.Done()
	require.ErrorIs(t, context.Cause(ended), cause)
}
