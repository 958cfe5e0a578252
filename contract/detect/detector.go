package detect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"
)

// ErrBusy means that a detection did not get its turn in time: too many others were waiting.
var ErrBusy = errors.New("too many documents are being examined")

// Detector limits the number of detections that compute at the same time, so that a flood of documents that are costly
// to examine does not delay the polls and downloads of other clients. It is safe for concurrent use.
type Detector struct {
	limits Limits
	slots  chan struct{}
	wait   time.Duration
}

// maxWait bounds the wait for a turn: 50 detections at their worst, on one core.
const maxWait = 5 * time.Second

// NewDetector returns a Detector with the [DefaultLimits] in which one detection per core computes at a time, and
// others wait up to 5 s for their turn.
func NewDetector() *Detector { return newDetector(runtime.GOMAXPROCS(0), maxWait) }

func newDetector(slots int, wait time.Duration) *Detector {
	return &Detector{limits: DefaultLimits(), slots: make(chan struct{}, slots), wait: wait}
}

// Detect is the function [Detect] once it is the document's turn. It returns [ErrBusy] when it has waited too long.
// While it reads from r, other detections may compute.
func (d *Detector) Detect(ctx context.Context, r io.ReaderAt, size int64, filename string) (Result, error) {
	waiting, cancel := context.WithTimeoutCause(ctx, d.wait, ErrBusy)
	defer cancel()
	t := turn{ctx: ctx, slots: d.slots, source: r}
	if err := t.begin(waiting); err != nil {
		return Result{}, err
	}
	defer t.end()
	if _, inMemory := r.(*bytes.Reader); !inMemory {
		r = &t
	}
	return d.limits.Detect(ctx, r, size, filename)
}

// turn is one detection's use of a slot, and a reader that releases the slot while it waits for its source.
type turn struct {
	ctx    context.Context //nolint:containedctx // io.ReaderAt has none
	slots  chan struct{}
	source io.ReaderAt
	held   bool
}

func (t *turn) begin(ctx context.Context) error {
	select {
	case t.slots <- struct{}{}:
		t.held = true
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait to examine the document: %w", context.Cause(ctx))
	}
}

func (t *turn) end() {
	if t.held {
		<-t.slots
		t.held = false
	}
}

// ReadAt implements [io.ReaderAt].
func (t *turn) ReadAt(p []byte, off int64) (int, error) {
	t.end()
	n, err := t.source.ReadAt(p, off)
	if ended := t.begin(t.ctx); ended != nil {
		return 0, ended
	}
	return n, err
}
