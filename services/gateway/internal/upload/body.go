package upload

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/docmill/docmill/contract/problem"
)

// body is a request's body. Every way in which it can end badly, and there are many (a reset, a half-closed connection, a
// broken chunk, a deadline), becomes one of two problems, and a client that sends nothing is given up.
type body struct {
	source  io.Reader
	control *http.ResponseController
	idle    time.Duration
	failure error
}

func newBody(w http.ResponseWriter, r *http.Request, idle time.Duration) *body {
	b := &body{source: r.Body, control: http.NewResponseController(w), idle: idle}
	// Even before the first read: when the request is refused at once, the server still reads a little of the body.
	b.extend()
	return b
}

// Read gives the client another idle time to send something.
func (b *body) Read(p []byte) (int, error) {
	if b.failure != nil {
		return 0, b.failure
	}
	b.extend()
	n, err := b.source.Read(p)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		// From here on the server itself reads, to notice when the client leaves. A deadline that passed meanwhile would
		// look to it like that, and end the request's context in the middle of a long answer.
		_ = b.control.SetReadDeadline(time.Time{})
		b.failure = io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.failure = problem.New(problem.UploadTooSlow, "Nothing arrived for %s.", b.idle).Because(opaque(err))
	default:
		b.failure = problem.New(problem.UploadInterrupted, "The connection ended, or was broken, before the whole request was there.").Because(opaque(err))
	}
	return n, b.failure
}

// opaque keeps an error's text and not its chain. Readers of an upload look for io.EOF and io.ErrUnexpectedEOF; inside of a
// problem neither must be taken for a good end.
func opaque(err error) error { return errors.New(err.Error()) }

// extend is best effort: only a writer that is no network connection, a test's, cannot set deadlines.
func (b *body) extend() { _ = b.control.SetReadDeadline(time.Now().Add(b.idle)) }

// broken gives the problem that ended the body, or nil when it is still good or ended well.
func (b *body) broken() error {
	if errors.Is(b.failure, io.EOF) {
		return nil
	}
	return b.failure
}

// capped ends with the error beyond when its source has more than left bytes. Exactly that many are still good.
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
	// One byte more than allowed tells an end that is just right from one that is not.
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
	return problem.New(problem.FileTooLarge, "The file has more than the %s (%d bytes) that are accepted here.", humanize.IBytes(uint64(limit)), limit)
}
