package blob_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/blob"
)

// slow is a bucket whose content ends with its context, after some bytes.
type slow struct {
	blob.Bucket

	opens bool
}

func (s slow) Get(ctx context.Context, _ string, _, _ int64) (io.ReadCloser, error) {
	if !s.opens {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return io.NopCloser(io.MultiReader(strings.NewReader("some"), readerFunc(func([]byte) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	}))), nil
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestStalledStore(t *testing.T) {
	t.Parallel()
	const stall = 50 * time.Millisecond
	_, err := blob.GetUnlessStalled(t.Context(), slow{}, "key", 0, -1, stall)
	require.ErrorIs(t, err, blob.ErrStalled)

	content, err := blob.GetUnlessStalled(t.Context(), slow{opens: true}, "key", 0, -1, stall)
	require.NoError(t, err)
	time.Sleep(2 * stall) // the time of the reader does not count
	read, err := io.ReadAll(content)
	require.ErrorIs(t, err, blob.ErrStalled)
	require.Equal(t, "some", string(read))
	require.NoError(t, content.Close())
}

func TestCanceledGetIsNotStalled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	content, err := blob.GetUnlessStalled(ctx, slow{opens: true}, "key", 0, -1, time.Hour)
	require.NoError(t, err)
	cancel()
	_, err = io.ReadAll(content)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, blob.ErrStalled)
	require.NoError(t, content.Close())
}
