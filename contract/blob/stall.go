package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrStalled means that a store sent nothing for too long.
var ErrStalled = errors.New("the store sent nothing for too long")

// GetUnlessStalled is [Bucket.Get], but it and each read of the content fail with ErrStalled if the store sends nothing
// for that long. The time between reads does not count. The caller must close the content.
func GetUnlessStalled(
	ctx context.Context, from Bucket, key string, offset, length int64, stall time.Duration,
) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := &unstalled{ctx: ctx, cancel: cancel, stall: stall}
	r.timer = time.AfterFunc(stall, func() { cancel(ErrStalled) })
	content, err := from.Get(ctx, key, offset, length)
	r.timer.Stop()
	if err != nil {
		cancel(nil)
		return nil, r.explain(err)
	}
	r.content = content
	return r, nil
}

// unstalled is content that is read while the store sends some.
type unstalled struct {
	ctx     context.Context //nolint:containedctx // that of the content
	cancel  context.CancelCauseFunc
	content io.ReadCloser
	stall   time.Duration
	timer   *time.Timer
}

func (r *unstalled) Read(p []byte) (int, error) {
	r.timer.Reset(r.stall)
	n, err := r.content.Read(p)
	r.timer.Stop()
	return n, r.explain(err)
}

// explain adds that the store stalled to the error that this causes.
func (r *unstalled) explain(err error) error {
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(context.Cause(r.ctx), ErrStalled) {
		return fmt.Errorf("%w (%s): %w", ErrStalled, r.stall, err)
	}
	return err
}

// Close ends the request.
func (r *unstalled) Close() error {
	r.timer.Stop()
	r.cancel(nil)
	return r.content.Close()
}
