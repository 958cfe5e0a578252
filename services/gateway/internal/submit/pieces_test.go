package submit

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// counter counts the reads of a writer's source.
type counter struct{ reads int }

func (c *counter) Write(p []byte) (int, error) {
	c.reads++
	return len(p), nil
}

func TestUploadsArePassedOnInPieces(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789"), 10_000)
	var count counter
	read, err := io.ReadAll(io.TeeReader(inPieces(iotest.OneByteReader(bytes.NewReader(content))), &count))
	require.NoError(t, err)
	require.Equal(t, content, read)
	require.LessOrEqual(t, count.reads, 400, "io.ReadAll asks for less than a piece at first")
}

func TestPiecesKeepTheError(t *testing.T) {
	t.Parallel()
	errBroken := errors.New("broken")
	read, err := io.ReadAll(inPieces(io.MultiReader(bytes.NewReader([]byte("abc")), iotest.ErrReader(errBroken))))
	require.ErrorIs(t, err, errBroken)
	require.Equal(t, "abc", string(read))
	read, err = io.ReadAll(inPieces(bytes.NewReader(nil)))
	require.NoError(t, err)
	require.Empty(t, read)
}
