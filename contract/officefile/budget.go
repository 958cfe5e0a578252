package officefile

import (
	"bufio"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
)

// Costs in units of a [Budget]. A unit is about 10 ns of processor time; the numbers are those of the worst known
// input.
const (
	// costFetch is charged for each read from the source of a window, in addition to the bytes.
	costFetch = 100
	// costCall is charged for each read from a window.
	costCall = 10
	// costOpen is charged for each entry of a package that is opened.
	costOpen = 200
	// costPacked is charged for each byte that is inflated. compress/flate takes 200 ns for each byte of deflate blocks
	// that define codes and hold nothing, and 10 ns for each byte of ordinary ones.
	costPacked = 20
	// costRecord is charged for each byte of a package's directory: 46 bytes are a record, which takes 0.5 µs.
	costRecord = 1
	// costTag is charged for each tag of XML, plus one unit for each tagBytesPerUnit bytes of it, or for each
	// searchedPerUnit bytes of what is only searched for its end.
	costTag         = 15
	tagBytesPerUnit = 2
	searchedPerUnit = 8
	// textBytesPerUnit is the number of bytes of text between tags whose characters are examined for a unit.
	textBytesPerUnit = 2
	// costAttribute is charged for each equals sign in a tag: two searches for an attribute by name, at up to 60 ns each.
	costAttribute = 12
	// costEscape is charged for each ampersand in a tag: html.UnescapeString looks for several prefixes of an unknown
	// entity in a map, which takes up to 110 ns.
	costEscape = 12
	// maxOwed bounds the units of tags that are charged together.
	maxOwed = 10_000
	// costEntry is charged for each directory entry of a compound file.
	costEntry = 30
	// bytesPerUnit is the number of bytes that are copied, or searched for one byte, for a unit.
	bytesPerUnit = 16
)

// ErrBudget means that reading a document took more work than its [Budget] allows.
var ErrBudget = errors.New("the document takes too much work to read")

// Budget bounds the work of reading one document and all containers in it, whatever they claim about themselves, and
// ends the work when a context ends. It is for one goroutine at a time.
//
// Work is counted in units of about 10 ns rather than measured as time, so that the result for a document does not
// depend on the load of the machine.
type Budget struct {
	ended func() error
	total int64
	left  int64
	err   error
	// inflaters are the decompressors that are not in use: each has 40 KiB.
	inflaters []*inflater
	// buffer holds the tags that are being read.
	buffer []byte
}

// NewBudget returns a budget of units that ends with ctx.
func NewBudget(ctx context.Context, units int64) *Budget {
	ended := func() error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return nil
	}
	return &Budget{ended: ended, total: units, left: units}
}

// Spend takes units from the budget. It returns [ErrBudget] when there are too few left, or the cause of the end of
// the context. Both are final: every later call returns the same error.
func (b *Budget) Spend(units int64) error {
	if b.err != nil {
		return b.err
	}
	b.left -= units
	if b.left < 0 {
		b.err = ErrBudget
		return b.err
	}
	if err := b.ended(); err != nil {
		b.err = fmt.Errorf("read the document: %w", err)
	}
	return b.err
}

// Err returns the error that ended the budget, or nil.
func (b *Budget) Err() error { return b.err }

// Spent returns how many units have been spent.
func (b *Budget) Spent() int64 { return b.total - b.left }

// inflater is a reusable decompressor.
type inflater struct {
	source charged
	input  *bufio.Reader
	output io.ReadCloser
}

// inflate returns a decompressor of source. It must be returned by release.
func (b *Budget) inflate(source io.Reader) *inflater {
	var i *inflater
	if n := len(b.inflaters); n > 0 {
		i, b.inflaters = b.inflaters[n-1], b.inflaters[:n-1]
	} else {
		i = &inflater{}
		i.input = bufio.NewReaderSize(&i.source, 1<<10)
		i.output = flate.NewReader(i.input)
	}
	i.source = charged{source, b}
	i.input.Reset(&i.source)
	_ = i.output.(flate.Resetter).Reset(i.input, nil) //nolint:forcetypeassert // promised; and Reset never fails
	return i
}

func (b *Budget) release(i *inflater) {
	i.source = charged{}
	b.inflaters = append(b.inflaters, i)
}

// charged charges a budget for the packed bytes read from a source.
type charged struct {
	source io.Reader
	budget *Budget
}

func (c *charged) Read(p []byte) (int, error) {
	n, err := c.source.Read(p)
	if spent := c.budget.Spend(int64(n) * costPacked); spent != nil {
		return 0, spent
	}
	return n, err
}
