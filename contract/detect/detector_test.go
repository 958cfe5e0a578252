package detect

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// gate is a document whose reads wait until it is opened.
type gate struct {
	io.ReaderAt

	reading chan struct{}
	opened  chan struct{}
}

func newGate(data []byte) *gate {
	return &gate{bytes.NewReader(data), make(chan struct{}, 10), make(chan struct{})}
}

func (g *gate) ReadAt(p []byte, off int64) (int, error) {
	g.reading <- struct{}{}
	<-g.opened
	return g.ReaderAt.ReadAt(p, off) //nolint:wrapcheck // a test's source
}

func TestDetectorMakesWayWhileItReads(t *testing.T) {
	t.Parallel()
	d := newDetector(1, time.Minute)
	text := []byte("Hello")
	slow := newGate(text)
	done := make(chan error, 1)
	go func() {
		_, err := d.Detect(t.Context(), slow, int64(len(text)), "a.txt")
		done <- err
	}()
	<-slow.reading
	_, err := d.Detect(t.Context(), bytes.NewReader(text), int64(len(text)), "b.txt")
	require.NoError(t, err, "a slow store of the first document must not make others wait")
	close(slow.opened)
	require.NoError(t, <-done)
	require.Empty(t, d.slots)
}

func TestDetectorIsBusy(t *testing.T) {
	t.Parallel()
	d := newDetector(1, time.Millisecond)
	text := []byte("Hello")
	d.slots <- struct{}{}
	_, err := d.Detect(t.Context(), bytes.NewReader(text), int64(len(text)), "a.txt")
	require.ErrorIs(t, err, ErrBusy)
	<-d.slots
	_, err = d.Detect(t.Context(), bytes.NewReader(text), int64(len(text)), "a.txt")
	require.NoError(t, err)
}

func TestDetectorStopsWaitingForItsSlotAfterARead(t *testing.T) {
	t.Parallel()
	d := newDetector(1, time.Minute)
	text := []byte("Hello")
	slow := newGate(text)
	gone := errors.New("the client has left")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := d.Detect(ctx, slow, int64(len(text)), "a.txt")
		done <- err
	}()
	<-slow.reading
	d.slots <- struct{}{} // another one has the turn now, and keeps it
	cancel(gone)
	close(slow.opened)
	require.ErrorIs(t, <-done, gone)
	require.Len(t, d.slots, 1, "the other one's")
}

func TestDetectEndsWithItsContext(t *testing.T) {
	t.Parallel()
	gone := errors.New("the client has left")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	data := packageOf(t, "pptx")
	_, err := Detect(ctx, bytes.NewReader(data), int64(len(data)), "deck.pptx")
	require.ErrorIs(t, err, gone)
	_, refused := errors.AsType[*Refusal](err)
	require.False(t, refused, "the document is not the cause")
}
