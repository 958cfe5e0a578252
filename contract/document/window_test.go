package document

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWindow(t *testing.T) {
	t.Parallel()

	t.Run("reads what is there", func(t *testing.T) {
		t.Parallel()
		data := randomBytes(3*blockSize + 1000)
		w := newWindow(bytes.NewReader(data), int64(len(data)), recogniseFetches)
		for _, off := range []int{len(data) - 1, 0, blockSize - 1, blockSize, len(data) - blockSize, 5000, 2 * blockSize} {
			for _, n := range []int{0, 1, 4096, blockSize, 2 * blockSize} {
				want := data[off:min(off+n, len(data))]
				got := make([]byte, n)
				read, err := w.ReadAt(got, int64(off))
				require.Equal(t, want, got[:read], "%d bytes at %d", n, off)
				if len(want) < n {
					require.ErrorIs(t, err, io.EOF)
				} else {
					require.NoError(t, err)
				}
			}
		}
		_, err := w.ReadAt(make([]byte, 1), w.size)
		require.ErrorIs(t, err, io.EOF)
		_, err = w.ReadAt(make([]byte, 1), -1)
		require.Error(t, err)
	})

	t.Run("keeps a bounded number of blocks", func(t *testing.T) {
		t.Parallel()
		data := make([]byte, (keptBlocks+10)*blockSize)
		w := newWindow(bytes.NewReader(data), int64(len(data)), slideFetches)
		_, err := io.Copy(io.Discard, io.NewSectionReader(w, 0, w.size))
		require.NoError(t, err)
		require.Len(t, w.blocks, keptBlocks)
	})

	t.Run("ends who runs in circles", func(t *testing.T) {
		t.Parallel()
		w := newWindow(strings.NewReader("Hello"), 5, recogniseFetches)
		var err error
		for range maxCalls + 1 {
			_, err = w.ReadAt(make([]byte, 1), 0)
		}
		require.ErrorIs(t, err, errScattered)
	})
}

// failing is a source whose reads fail, after a number of them.
type failing struct {
	io.ReaderAt
	from int
	err  error
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if f.from == 0 || off > 0 {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off) //nolint:wrapcheck // a test's source
}
