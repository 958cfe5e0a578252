package observed_test

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/platform/directory"
	"github.com/docmill/docmill/platform/observed"
)

func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	plain, err := directory.Open(t.TempDir())
	require.NoError(t, err)
	bucket := observed.New(registry).Bucket("sources", plain)

	put := func(ctx context.Context, size int64) error {
		return bucket.Put(ctx, "key", bytes.NewReader([]byte("text")), size, blob.PutOptions{CreateOnce: true})
	}
	require.ErrorIs(t, put(t.Context(), 5), blob.ErrSize)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, put(canceled, 4), context.Canceled)
	require.NoError(t, put(t.Context(), 4))
	require.ErrorIs(t, put(t.Context(), 4), blob.ErrExists)
	content, err := bucket.Get(t.Context(), "key", 0, -1)
	require.NoError(t, err)
	text, err := io.ReadAll(content)
	require.NoError(t, err)
	require.Equal(t, "text", string(text))
	require.NoError(t, content.Close())
	size, err := bucket.Stat(t.Context(), "key")
	require.NoError(t, err)
	require.EqualValues(t, 4, size)
	for entry, err := range bucket.List(t.Context(), "k", "") {
		require.NoError(t, err)
		require.Equal(t, "key", entry.Key)
	}
	_, err = bucket.DeleteUnfinished(t.Context(), time.Hour)
	require.NoError(t, err)
	require.NoError(t, bucket.Delete(t.Context(), "key"))
	for range bucket.List(t.Context(), "k", "") {
		require.Fail(t, "nothing is left")
	}
	_, err = bucket.Get(t.Context(), "key", 0, -1)
	require.ErrorIs(t, err, blob.ErrNotFound)
	require.NoError(t, bucket.Check(t.Context()))

	families, err := registry.Gather()
	require.NoError(t, err)
	counts := map[string]uint64{}
	for _, series := range families[0].GetMetric() {
		labels := map[string]string{}
		for _, label := range series.GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		require.Equal(t, "sources", labels["bucket"])
		if n := series.GetHistogram().GetSampleCount(); n > 0 {
			counts[labels["operation"]+" "+labels["outcome"]] = n
		}
	}
	require.Equal(t, map[string]uint64{
		"put failed": 1, "put canceled": 1, "put ok": 1, "put exists": 1, "get ok": 1, "get not_found": 1, "stat ok": 1, "delete ok": 1,
		"list ok": 2, "delete_unfinished ok": 1,
	}, counts)
}
