package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/blob"
)

// listed returns the listed keys, and the error at the end.
func (s suite) listed(prefix, after string) ([]string, error) {
	var keys []string
	for entry, err := range s.bucket.List(s.t.Context(), prefix, after) {
		if err != nil {
			return keys, err
		}
		keys = append(keys, entry.Key)
	}
	return keys, nil
}

func (s suite) requireList(prefix, after string, want ...string) {
	s.t.Helper()
	got, err := s.listed(prefix, after)
	require.NoError(s.t, err)
	require.Equal(s.t, want, got, "the keys that begin with %q, after %q", prefix, after)
}

func (s suite) list() {
	s.requireList("", "")
	keys := []string{ // in ascending order
		"A", "_x", "a-b/1", "a.b", "a/1", "a/2.pdf", "a/2/x", "a0", "aa/1", "b", strings.Repeat("k", 255),
	}
	slices.Sort(keys)
	began := time.Now()
	for _, i := range []int{4, 1, 10, 7, 0, 9, 2, 8, 3, 6, 5} {
		s.put(keys[i], random(i*100, 1))
	}
	s.requireList("", "", keys...)
	s.requireList("a/", "", "a/1", "a/2.pdf", "a/2/x")
	s.requireList("a", "", "a-b/1", "a.b", "a/1", "a/2.pdf", "a/2/x", "a0", "aa/1")
	s.requireList("a", "a/1", "a/2.pdf", "a/2/x", "a0", "aa/1")
	s.requireList("", "a/10", keys[slices.Index(keys, "a/2.pdf"):]...)
	s.requireList("a/2", "a/2.pdf", "a/2/x")
	s.requireList("a/", "aa", nil...)
	s.requireList("none", "")

	i := 0
	for entry, err := range s.bucket.List(s.t.Context(), "", "") {
		require.NoError(s.t, err)
		require.EqualValues(s.t, i*100, entry.Size, entry.Key)
		require.WithinRange(s.t, entry.ModifiedAt, began.Add(-2*time.Second), time.Now().Add(2*time.Second), "a store may round it")
		i++
	}
	for entry, err := range s.bucket.List(s.t.Context(), "", "") {
		require.NoError(s.t, err)
		require.Equal(s.t, keys[0], entry.Key)
		break
	}
	canceled, cancel := context.WithCancel(s.t.Context())
	cancel()
	var last error
	for _, err := range s.bucket.List(canceled, "", "") {
		last = err
	}
	require.ErrorIs(s.t, last, context.Canceled)
}

// manyBlobs is more than what an S3 store lists in one answer.
const manyBlobs = 1050

func (s suite) putMany() []string {
	keys := make([]string, manyBlobs)
	for i := range keys {
		keys[i] = fmt.Sprintf("job-%04d/%d", i, i%7)
	}
	const putters = 16
	require.NoError(s.t, errors.Join(concurrently(putters, func(from int) error {
		for i := from; i < len(keys); i += putters {
			if err := s.bucket.Put(s.t.Context(), keys[i], strings.NewReader("x"), 1, blob.PutOptions{}); err != nil {
				return err
			}
		}
		return nil
	})...))
	return keys
}

func (s suite) listPages() {
	keys := s.putMany()
	s.requireList("", "", keys...)
	s.requireList("job-", keys[20], keys[21:]...)
	s.requireList("job-1", "", keys[1000:]...)
}

// listWhileDeleting deletes what is listed, as a sweep does.
func (s suite) listWhileDeleting() {
	keys := s.putMany()
	visited := 0
	for entry, err := range s.bucket.List(s.t.Context(), "", "") {
		require.NoError(s.t, err)
		require.Equal(s.t, keys[visited], entry.Key)
		require.NoError(s.t, s.bucket.Delete(s.t.Context(), entry.Key))
		visited++
	}
	require.Len(s.t, keys, visited)
	s.requireList("", "")
}

// deleteUnfinished deletes while a put is in progress: what a killed process leaves looks the same.
func (s suite) deleteUnfinished() {
	old, large := []byte("old"), random(14<<20, 2)
	s.put("kept", old)
	deleted := 0
	put := func(olderThan time.Duration, options blob.PutOptions) error {
		content := &paused{first: bytes.NewReader(large[:7<<20]), second: bytes.NewReader(large[7<<20:]), then: func() {
			var err error
			deleted, err = s.bucket.DeleteUnfinished(s.t.Context(), olderThan)
			require.NoError(s.t, err)
		}}
		return s.bucket.Put(s.t.Context(), "new", content, blob.UnknownSize, options)
	}
	for _, options := range []blob.PutOptions{{}, {CreateOnce: true}} {
		require.NoError(s.t, put(time.Hour, options), "it is not that old")
		require.Zero(s.t, deleted)
		s.requireContent("new", large)
		require.NoError(s.t, s.bucket.Delete(s.t.Context(), "new"))

		require.Error(s.t, put(0, options), "its beginning is deleted")
		require.Equal(s.t, 1, deleted)
		s.requireMissing("new")
	}
	s.requireContent("kept", old)
	deleted, err := s.bucket.DeleteUnfinished(s.t.Context(), 0)
	require.NoError(s.t, err)
	require.Zero(s.t, deleted, "there is nothing unfinished")
	s.requireContent("kept", old)
}
