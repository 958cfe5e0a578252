package officefile

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/internal/officetest"
)

func open(tb testing.TB, data []byte, units int64) (*Package, *Budget) {
	tb.Helper()
	budget := NewBudget(tb.Context(), units)
	p, err := OpenPackage(bytes.NewReader(data), int64(len(data)), budget)
	require.NoError(tb, err)
	return p, budget
}

func TestPackageParts(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("Hello", 1000)
	p, _ := open(t, zipOf(t, part{`Word\Document.XML`, text}, part{"word/document.xml", "second"}), 1<<20)
	for _, limit := range []int64{0, 1, 4999, 5000, 5001} {
		r, err := p.Part("word/document.xml", limit)
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, text[:min(limit, 5000)], string(got))
		require.NoError(t, r.Close())
		require.NoError(t, r.Close(), "twice")
	}
	_, err := p.Part("word/styles.xml", 1)
	require.ErrorIs(t, err, ErrMissingPart)
}

func TestPackageHead(t *testing.T) {
	t.Parallel()
	spaces, noise := strings.Repeat(" ", 100_000), string(randomBytes(100_000))
	p, budget := open(t, officetest.RawZip(0,
		officetest.Deflated("spaces", spaces), officetest.Deflated("noise", noise), officetest.Stored("stored", noise),
		officetest.Deflated("short", "Hello"), officetest.Deflated("empty", ""),
	), 1<<20)
	for i, c := range []struct {
		want    string
		atLeast int
		whole   bool
	}{{spaces, 512, false}, {noise, 50, false}, {noise, 512, false}, {"Hello", 5, true}, {"", 0, true}} {
		head, whole, err := p.Head(p.File[i], 512, 160)
		require.NoError(t, err)
		require.Equal(t, c.whole, whole)
		require.GreaterOrEqual(t, len(head), c.atLeast)
		require.LessOrEqual(t, len(head), 512)
		require.True(t, strings.HasPrefix(c.want, string(head)))
	}
	require.Less(t, budget.Spent(), int64(25_000), "none was inflated whole")
}

// TestPackageErrors: what archive/zip refuses to read is not read here either.
func TestPackageErrors(t *testing.T) {
	t.Parallel()
	good := officetest.Deflated("a", "Hello")
	for does, change := range map[string]func(*officetest.Entry){
		"another checksum":      func(e *officetest.Entry) { e.CRC++ },
		"more than claimed":     func(e *officetest.Entry) { e.Size-- },
		"less than claimed":     func(e *officetest.Entry) { e.Size++ },
		"an unknown method":     func(e *officetest.Entry) { e.Method = 12 },
		"what is not deflated":  func(e *officetest.Entry) { e.Packed = []byte("\xff\xff\xff") },
		"a stream that is cut":  func(e *officetest.Entry) { e.Packed = e.Packed[:3] },
		"more than claimed, as": func(e *officetest.Entry) { *e = officetest.Stored("a", "Hello"); e.Size = 4 },
	} {
		t.Run(does, func(t *testing.T) {
			t.Parallel()
			e := good
			change(&e)
			p, _ := open(t, officetest.RawZip(0, e), 1<<20)
			r, err := p.Part("a", 100)
			if err == nil {
				_, err = io.ReadAll(r)
			}
			require.Error(t, err)
		})
	}
}

// TestBudgetEndsInflating: the budget is spent within an entry, and stays spent.
func TestBudgetEndsInflating(t *testing.T) {
	t.Parallel()
	e := officetest.Entry{Name: "a", Method: 8, Packed: officetest.Blocks(100<<10, false), Size: 100}
	p, budget := open(t, officetest.RawZip(0, e), 100_000)
	r, err := p.Part("a", 100)
	require.NoError(t, err)
	_, err = io.ReadAll(r)
	require.ErrorIs(t, err, ErrBudget)
	require.ErrorIs(t, budget.Spend(0), ErrBudget)
	_, err = p.Part("a", 100)
	require.ErrorIs(t, err, ErrBudget)
	require.Less(t, budget.Spent(), int64(150_000))
}

func TestTooManyRecords(t *testing.T) {
	t.Parallel()
	size := int64(1 << 20)
	tail := officetest.Zip64(maxRecords+1, size)
	for does, comment := range map[string]string{"plain": "", "with a second end in the comment": "PK\x05\x06"} {
		t.Run(does, func(t *testing.T) {
			t.Parallel()
			data := slices.Concat(make([]byte, size-int64(len(tail))), tail, []byte(comment))
			data[size-2] = byte(len(comment))
			_, err := OpenPackage(bytes.NewReader(data), int64(len(data)), NewBudget(t.Context(), 1<<30))
			require.ErrorIs(t, err, errDirectory)
		})
	}
}
