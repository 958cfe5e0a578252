package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/docmill/docmill/contract/blob"
)

// object is a stored result as an io.ReadSeeker. Seeking costs nothing; the bytes come from one ranged request for
// exactly the part that is sent.
type object struct {
	ctx    context.Context //nolint:containedctx // io.ReadSeeker has no parameter for one
	sender *Sender
	key    string
	size   int64

	offset  int64
	left    int64 // of what open requested
	body    io.ReadCloser
	failure error
}

// Seek implements io.Seeker. It only stores the offset.
func (o *object) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		o.offset = offset
	case io.SeekCurrent:
		o.offset += offset
	case io.SeekEnd:
		o.offset = o.size + offset
	}
	if o.offset < 0 || o.offset > o.size {
		return 0, fmt.Errorf("seek to %d in a result of %d bytes", o.offset, o.size)
	}
	return o.offset, nil
}

// open requests as many bytes as the response announces. Its error is a problem.
func (o *object) open(announced string) error {
	length, err := strconv.ParseInt(announced, 10, 64)
	if err != nil {
		return fmt.Errorf("serve the result: invalid length %q: %w", announced, err)
	}
	o.left = length
	if o.offset == 0 && length == o.size {
		length = -1 // the whole object needs no range
	}
	o.body, err = blob.GetUnlessStalled(o.ctx, o.sender.Results, o.key, o.offset, length, o.sender.Stall)
	if err != nil {
		return unreachable(o.ctx, err)
	}
	return nil
}

// Read reads what open requested.
func (o *object) Read(p []byte) (int, error) {
	if o.body == nil {
		return 0, errors.New("the result was read before its header was sent")
	}
	n, err := o.body.Read(p)
	o.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF) && o.left > 0:
		o.failure = fmt.Errorf("the stored result ends %d bytes early: %w", o.left, io.ErrUnexpectedEOF)
	case err != nil && !errors.Is(err, io.EOF):
		o.failure = err
	}
	return n, err
}

func (o *object) close() {
	if o.body != nil {
		_ = o.body.Close()
	}
}
