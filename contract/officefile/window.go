package officefile

import (
	"errors"
	"fmt"
	"io"
)

const (
	// BlockSize is how much one fetch of a [Window] brings: as much as a round trip to an object store carries at no
	// extra cost, and enough for the first parts of a package, or for its whole directory.
	BlockSize = 64 << 10
	// pageSize is the alignment of blocks, so that scattered reads do not overlap by a few bytes.
	pageSize = 4 << 10
	// maxBlocks bounds the memory of a window to 4 MiB. A detection never fetches more, so it fetches nothing twice.
	maxBlocks = 64
)

// errScattered ends a parser that the document led to too many places.
var errScattered = errors.New("the parts of the document are too far apart to be found")

// Window reads a document in few, large, counted pieces, so that a parser may read it in many small ones, and a
// hostile document cannot make it read without end. It is for one goroutine at a time.
type Window struct {
	source io.ReaderAt
	size   int64
	budget *Budget
	// fetches is the number of further fetches that are allowed.
	fetches int
	// refused reports whether a fetch was refused because no more are allowed.
	refused bool
	blocks  []block
	// pages has the block of each page of the document that is in memory.
	pages map[int64]block
	// recent is the block of the last read, which usually serves the next one as well.
	recent block
	// failure is the first error of the source. Parsers may lose it; the window keeps it.
	failure error
}

type block struct {
	start int64
	data  []byte
}

// NewWindow returns a window on a document of size bytes that fetches at most that many blocks from it.
func NewWindow(source io.ReaderAt, size int64, fetches int, budget *Budget) *Window {
	return &Window{source: source, size: size, fetches: fetches, budget: budget, pages: map[int64]block{}}
}

// Size returns the size of the document.
func (w *Window) Size() int64 { return w.size }

// Failure returns the first error of the source, which is never the document's fault, or nil.
func (w *Window) Failure() error { return w.failure }

// Fetches returns how many more blocks may be fetched.
func (w *Window) Fetches() int { return w.fetches }

// SetFetches changes how many more blocks may be fetched.
func (w *Window) SetFetches(n int) { w.fetches = n }

// Refused reports whether a read has failed since the last call because no more blocks may be fetched.
func (w *Window) Refused() bool {
	refused := w.refused
	w.refused = false
	return refused
}

// Head returns the beginning of the document: one block, or all of a smaller document. The slice must not be
// modified.
func (w *Window) Head() ([]byte, error) {
	b, err := w.at(0)
	if err != nil {
		return nil, err
	}
	return b.data, nil
}

// ReadAt implements [io.ReaderAt].
func (w *Window) ReadAt(p []byte, off int64) (int, error) {
	if err := w.budget.Spend(costCall + int64(len(p))/bytesPerUnit); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fmt.Errorf("read at the negative offset %d", off)
	}
	n := 0
	for n < len(p) {
		if off >= w.size {
			return n, io.EOF
		}
		b, err := w.at(off)
		if err != nil {
			return n, err
		}
		m := copy(p[n:], b.data[off-b.start:])
		n += m
		off += int64(m)
	}
	return n, nil
}

// at returns a block that holds the byte at an offset inside the document.
func (w *Window) at(off int64) (block, error) {
	if w.recent.holds(off) {
		return w.recent, nil
	}
	if b := w.pages[off/pageSize]; b.holds(off) {
		w.recent = b
		return b, nil
	}
	return w.fetch(off)
}

func (w *Window) fetch(off int64) (block, error) {
	if w.failure != nil {
		return block{}, w.failure
	}
	if w.fetches == 0 {
		w.refused = true
		return block{}, errScattered
	}
	w.fetches--
	// Never past the end, so that the first read at the tail of a package brings a whole block of its directory.
	start := max(0, min(off-off%pageSize, w.size-BlockSize))
	b := block{start: start, data: make([]byte, min(BlockSize, w.size-start))}
	if err := w.budget.Spend(costFetch + int64(len(b.data))/bytesPerUnit); err != nil {
		return block{}, err
	}
	if n, err := w.source.ReadAt(b.data, start); n < len(b.data) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // the source holds less than the given size
		}
		w.failure = fmt.Errorf("read %d bytes of the document at %d: %w", len(b.data), start, err)
		return block{}, w.failure
	}
	w.keep(b)
	return b, nil
}

// keep adds a block, in place of the oldest one if there are too many.
func (w *Window) keep(b block) {
	if len(w.blocks) == maxBlocks {
		oldest := w.blocks[0]
		for page := oldest.start / pageSize; page*pageSize < oldest.end(); page++ {
			if w.pages[page].start == oldest.start {
				delete(w.pages, page)
			}
		}
		w.blocks = append(w.blocks[:0], w.blocks[1:]...)
	}
	w.blocks = append(w.blocks, b)
	for page := b.start / pageSize; page*pageSize < b.end(); page++ {
		first := page * pageSize
		if !b.holds(first) && w.pages[page].holds(first) {
			continue // the last block of a document begins within a page
		}
		w.pages[page] = b
	}
	w.recent = b
}

func (b block) end() int64 { return b.start + int64(len(b.data)) }

func (b block) holds(off int64) bool { return off >= b.start && off < b.end() }
