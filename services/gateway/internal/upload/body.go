package upload

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/gateway/internal/admission"
)

// body is a request's body. Every way in which it can end badly (a reset, a half-closed connection, a broken chunk, a
// deadline) becomes one of two problems. The upload of a client that sends nothing, or less than the minimum rate, is
// ended.
type body struct {
	source  io.Reader
	control *http.ResponseController
	pace    *pace
	failure error
}

func newBody(w http.ResponseWriter, r *http.Request, limits Limits) *body {
	b := &body{source: r.Body, control: http.NewResponseController(w), pace: newPace(limits.Idle, limits.MinRate)}
	// Even before the first read: when the request is refused at once, the server still reads a little of the body.
	b.setDeadline(time.Now().Add(limits.Idle))
	return b
}

// Read reads what the client sends.
func (b *body) Read(p []byte) (int, error) {
	if b.failure != nil {
		return 0, b.failure
	}
	if cause := b.pace.wait(b.setDeadline); cause != nil {
		b.failure = displaced(cause)
		return 0, b.failure
	}
	began := time.Now()
	n, err := b.source.Read(p)
	b.pace.received(n)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		// From here on the server itself reads, to notice when the client disconnects. A deadline that passed meanwhile
		// would look like a disconnect, and end the request's context in the middle of a long answer.
		b.pace.end(func() { b.setDeadline(time.Time{}) })
		b.failure = io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.failure = b.tooSlow(time.Since(began)).Because(opaque(err))
	default:
		b.failure = problem.New(problem.UploadInterrupted, "The connection was closed or broken before the whole request had arrived.").
			Because(opaque(err))
	}
	return n, b.failure
}

// tooSlow returns why an upload was ended after its client had sent nothing for this time.
func (b *body) tooSlow(nothing time.Duration) *problem.Error {
	cause := b.pace.interruption()
	switch {
	case cause != nil:
		return displaced(cause)
	case nothing >= b.pace.idle || b.pace.rate == 0:
		return problem.New(problem.UploadTooSlow, "Nothing arrived for %s.", b.pace.idle)
	default:
		return problem.New(problem.UploadTooSlow, "The average rate was below the minimum of %s per second.", humanize.IBytes(uint64(b.pace.rate)))
	}
}

// displaced returns the problem of an upload that the gate interrupted.
func displaced(cause error) *problem.Error {
	if errors.Is(cause, admission.ErrShared) {
		return problem.New(problem.Busy, "Too many uploads from this address.").After(busyRetryAfter).Because(cause)
	}
	return problem.New(problem.UploadTooSlow, "The upload fell behind while others were waiting, and was ended in favor of them.").
		Because(cause)
}

// Lag implements admission.Upload.
func (b *body) Lag() time.Duration { return b.pace.lag() }

// Interrupt implements admission.Upload.
func (b *body) Interrupt(cause error) {
	b.pace.interrupt(cause, func() { b.setDeadline(time.Unix(1, 0)) }) // one that has passed
}

// opaque returns an error with the same text and without the chain. Readers of an upload look for io.EOF and
// io.ErrUnexpectedEOF; inside a problem neither must be mistaken for a regular end.
func opaque(err error) error { return errors.New(err.Error()) }

// setDeadline is best effort: only a writer that is not a network connection, as in a test, cannot set deadlines.
func (b *body) setDeadline(deadline time.Time) { _ = b.control.SetReadDeadline(deadline) }

// broken returns the problem that ended the body, or nil if it is still good or ended well.
func (b *body) broken() error {
	if errors.Is(b.failure, io.EOF) {
		return nil
	}
	return b.failure
}

// capped fails with the error beyond if its source has more than left bytes. Exactly that many are still good.
type capped struct {
	source io.Reader
	left   int64
	beyond error
	over   bool
}

func (c *capped) Read(p []byte) (int, error) {
	if c.over {
		return 0, c.beyond
	}
	if len(p) == 0 {
		return 0, nil
	}
	// One byte more than allowed distinguishes content of exactly the limit from content that exceeds it.
	if int64(len(p)) > c.left+1 {
		p = p[:c.left+1]
	}
	n, err := c.source.Read(p)
	if int64(n) <= c.left {
		c.left -= int64(n)
		return n, err
	}
	n, c.left, c.over = int(c.left), 0, true
	return n, c.beyond
}

func tooLarge(limit int64) *problem.Error {
	return problem.New(problem.FileTooLarge, "The file is larger than the limit of %s (%d bytes).", humanize.IBytes(uint64(limit)), limit)
}
