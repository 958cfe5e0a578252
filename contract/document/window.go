package document

import (
	"errors"
	"fmt"
	"io"
)

const (
	// blockSize is how much one fetch brings: as much as a round trip to an object store carries at no extra cost, and
	// enough for the first parts of a package, or for its whole directory, at once.
	blockSize = 64 << 10
	// blockAlign keeps the blocks of scattered reads from overlapping by a few bytes.
	blockAlign = 4 << 10
	// keptBlocks bounds the memory of a window to 4 MiB. A recognition never fetches more, so it fetches nothing twice.
	keptBlocks = 64
	// maxCalls ends parsers that run in circles inside of what is already here. A compound file of 128 MiB of small
	// streams, far beyond any real one, takes as many steps.
	maxCalls = 1 << 18
)

// errScattered ends a parser that was led too far around by the document.
var errScattered = errors.New("the parts of the document lie too far apart to be found")

// window reads a document in few, large, counted pieces, so that a parser may read it in many small ones, and a hostile
// document cannot make it read without end.
type window struct {
	source io.ReaderAt
	size   int64
	// fetches is how many more may be made.
	fetches int
	// starved says that a fetch was refused for there being no more.
	starved bool
	calls   int
	blocks  []block
	// recent is the block of the last read, which is mostly that of the next one.
	recent int
	// failure is the first error of the source, which is never the document's fault. Parsers lose it; the window keeps it.
	failure error
}

type block struct {
	start int64
	data  []byte
}

func newWindow(source io.ReaderAt, size int64, fetches int) *window {
	return &window{source: source, size: size, fetches: fetches}
}

// head gives the first bytes of the document: one block, or all of a smaller document. The slice must not be changed.
func (w *window) head() ([]byte, error) {
	b, err := w.at(0)
	if err != nil {
		return nil, err
	}
	return b.data, nil
}

// ReadAt implements [io.ReaderAt].
func (w *window) ReadAt(p []byte, off int64) (int, error) {
	if w.calls++; w.calls > maxCalls {
		return 0, errScattered
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

// at gives a block that holds the byte at an offset inside of the document.
func (w *window) at(off int64) (block, error) {
	if w.recent < len(w.blocks) && w.blocks[w.recent].holds(off) {
		return w.blocks[w.recent], nil
	}
	for i, b := range w.blocks {
		if b.holds(off) {
			w.recent = i
			return b, nil
		}
	}
	return w.fetch(off)
}

func (w *window) fetch(off int64) (block, error) {
	if w.failure != nil {
		return block{}, w.failure
	}
	if w.fetches == 0 {
		w.starved = true
		return block{}, errScattered
	}
	w.fetches--
	// Never beyond the end, so that the first read at the tail of a package brings a whole block of its directory.
	start := max(0, min(off-off%blockAlign, w.size-blockSize))
	b := block{start: start, data: make([]byte, min(blockSize, w.size-start))}
	if n, err := w.source.ReadAt(b.data, start); n < len(b.data) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // the source holds less than its size says
		}
		w.failure = fmt.Errorf("read %d bytes of the document at %d: %w", len(b.data), start, err)
		return block{}, w.failure
	}
	if len(w.blocks) == keptBlocks {
		w.blocks = append(w.blocks[:0], w.blocks[1:]...)
	}
	w.blocks = append(w.blocks, b)
	w.recent = len(w.blocks) - 1
	return b, nil
}

func (b block) holds(off int64) bool {
	return off >= b.start && off < b.start+int64(len(b.data))
}
