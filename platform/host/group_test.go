package host

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// recorder notes what happens to components, in order.
type recorder chan string

func (r recorder) component(name string) Component {
	return Component{Name: name, Run: func(_ context.Context, ready func(), drain <-chan struct{}) error {
		r <- "start " + name
		ready()
		<-drain
		r <- "stop " + name
		return nil
	}}
}

func launch(t *testing.T, c Component) (ready, drain chan struct{}, ended chan error) {
	t.Helper()
	ready, drain, ended = make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { ended <- c.Run(t.Context(), func() { close(ready) }, drain) }()
	return ready, drain, ended
}

func TestSequenceStopsInReverse(t *testing.T) {
	t.Parallel()
	r := make(recorder, 10)
	ready, drain, ended := launch(t, Sequence("all", zap.NewNop(), r.component("a"), r.component("b")))
	<-ready
	close(drain)
	require.NoError(t, <-ended)
	close(r)
	var order []string
	for event := range r {
		order = append(order, event)
	}
	require.Equal(t, []string{"start a", "start b", "stop b", "stop a"}, order)
}

// TestParallelStopsTogether has a component that takes long to stop: the other one does not wait for it.
func TestParallelStopsTogether(t *testing.T) {
	t.Parallel()
	r := make(recorder, 10)
	slow := make(chan struct{})
	ready, drain, ended := launch(t, Parallel("all", r.component("fast"), Component{Name: "slow", Run: func(
		_ context.Context, ready func(), drain <-chan struct{},
	) error {
		ready()
		<-drain
		<-slow
		return nil
	}}))
	<-ready
	close(drain)
	require.Equal(t, "start fast", <-r)
	require.Equal(t, "stop fast", <-r, "while the slow one still stops")
	close(slow)
	require.NoError(t, <-ended)
}

func TestGroupsFailWithTheirComponents(t *testing.T) {
	t.Parallel()
	errBroken := errors.New("broken")
	broken := Component{Name: "broken", Run: func(context.Context, func(), <-chan struct{}) error { return errBroken }}
	r := make(recorder, 10)
	for name, group := range map[string]Component{
		"sequence": Sequence("all", zap.NewNop(), r.component("a"), broken),
		"parallel": Parallel("all", r.component("a"), broken),
	} {
		_, _, ended := launch(t, group)
		err := <-ended
		require.ErrorIs(t, err, errBroken, name)
		require.ErrorContains(t, err, "broken: broken", name)
		require.Equal(t, "start a", <-r, name)
		require.Equal(t, "stop a", <-r, name)
	}
}
