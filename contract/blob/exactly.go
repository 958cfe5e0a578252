package blob

import (
	"errors"
	"fmt"
	"io"
)

// Exactly returns a reader of content that fails with ErrSize unless content has exactly size bytes; it returns content
// itself if size is UnknownSize. The last bytes are delivered only when the end of content has been seen, so a receiver
// that stops at size bytes never has all of a content that is too long. Implementations of Put use it.
func Exactly(content io.Reader, size int64) io.Reader {
	if size < 0 {
		return content
	}
	return &exactly{content: content, size: size, left: size}
}

type exactly struct {
	content    io.Reader
	size, left int64
	err        error // the end, and what it was
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p)) > e.left {
		p = p[:e.left]
	}
	var n int
	var err error
	if len(p) > 0 {
		n, err = e.content.Read(p)
		e.left -= int64(n)
	}
	switch {
	case err == nil && e.left == 0:
		err = e.end()
	case errors.Is(err, io.EOF) && e.left > 0:
		err = fmt.Errorf("%w: %d bytes are missing of %d", ErrSize, e.left, e.size)
	}
	e.err = err
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	return n, err
}

// end returns io.EOF if content has no more bytes.
func (e *exactly) end() error {
	var next [1]byte
	n, err := io.ReadFull(e.content, next[:])
	if n > 0 {
		return fmt.Errorf("%w: more than %d bytes", ErrSize, e.size)
	}
	return err
}
