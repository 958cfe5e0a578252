package officefile

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
		data := randomBytes(3*BlockSize + 1000)
		w := NewWindow(bytes.NewReader(data), int64(len(data)), directoryFetches, NewBudget(t.Context(), 1<<40))
		for _, off := range []int{len(data) - 1, 0, BlockSize - 1, BlockSize, len(data) - BlockSize, 5000, 2 * BlockSize} {
			for _, n := range []int{0, 1, 4096, BlockSize, 2 * BlockSize} {
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
		data := make([]byte, (maxBlocks+10)*BlockSize)
		w := NewWindow(bytes.NewReader(data), int64(len(data)), slideFetches, NewBudget(t.Context(), 1<<40))
		_, err := io.Copy(io.Discard, io.NewSectionReader(w, 0, w.size))
		require.NoError(t, err)
		require.Len(t, w.blocks, maxBlocks)
	})

	t.Run("stops a parser that runs in circles", func(t *testing.T) {
		t.Parallel()
		budget := NewBudget(t.Context(), 10_000)
		w := NewWindow(strings.NewReader("Hello"), 5, directoryFetches, budget)
		var err error
		for range 10_000 {
			_, err = w.ReadAt(make([]byte, 1), 0)
		}
		require.ErrorIs(t, err, ErrBudget)
		require.ErrorIs(t, budget.Err(), ErrBudget)
	})
}
