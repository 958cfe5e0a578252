// Package blobtest is the conformance suite of blob.Bucket. Every implementation runs it in a test of its own:
//
//	func TestConformance(t *testing.T) {
//		blobtest.Run(t, func(t *testing.T) blob.Bucket { ... })
//	}
//
// The suite's own tests run it on implementations with planted defects and require that it finds each of them.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/blob"
)

// Run tests the buckets that open returns. open is called once per test and returns an empty bucket that nothing else
// uses; it cleans up with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) blob.Bucket) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.run(suite{t: t, bucket: open(t)})
		})
	}
}

// tests run one after another: the one that measures the heap needs it.
var tests = []struct {
	name string
	run  func(s suite)
}{
	{"PutAndGet", suite.putAndGet},
	{"Overwrite", suite.overwrite},
	{"Keys", suite.keys},
	{"InvalidKeys", suite.invalidKeys},
	{"WrongSize", suite.wrongSize},
	{"FailingContent", suite.failingContent},
	{"NotVisibleBeforeComplete", suite.notVisibleBeforeComplete},
	{"CreateOnce", suite.createOnce},
	{"CreateOnceConcurrently", suite.createOnceConcurrently},
	{"ConcurrentPuts", suite.concurrentPuts},
	{"Ranges", suite.ranges},
	{"ReaderAt", suite.readerAt},
	{"NotFound", suite.notFound},
	{"Copy", suite.copy},
	{"Delete", suite.delete},
	{"List", suite.list},
	{"ListPages", suite.listPages},
	{"ListWhileDeleting", suite.listWhileDeleting},
	{"DeleteUnfinished", suite.deleteUnfinished},
	{"OverwriteWhileReading", suite.overwriteWhileReading},
	{"CanceledContext", suite.canceledContext},
	{"BoundedMemory", suite.boundedMemory},
	{"Check", suite.check},
}

type suite struct {
	t      *testing.T
	bucket blob.Bucket
}

// random returns bytes that do not compress and depend on the seed only.
func random(size int, seed uint64) []byte {
	content := make([]byte, size)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	_, _ = rand.NewChaCha8(key).Read(content)
	return content
}

func (s suite) put(key string, content []byte) {
	s.t.Helper()
	require.NoError(s.t, s.bucket.Put(s.t.Context(), key, bytes.NewReader(content), int64(len(content)), blob.PutOptions{}))
}

func (s suite) get(key string, offset, length int64) ([]byte, error) {
	body, err := s.bucket.Get(s.t.Context(), key, offset, length)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(body)
	return content, errors.Join(err, body.Close())
}

func (s suite) requireContent(key string, want []byte) {
	s.t.Helper()
	got, err := s.get(key, 0, -1)
	require.NoError(s.t, err)
	require.Len(s.t, got, len(want))
	require.True(s.t, bytes.Equal(want, got), "the content of %s differs", key)
	size, err := s.bucket.Stat(s.t.Context(), key)
	require.NoError(s.t, err)
	require.EqualValues(s.t, len(want), size)
}

func (s suite) requireMissing(key string) {
	s.t.Helper()
	_, err := s.get(key, 0, -1)
	require.ErrorIs(s.t, err, blob.ErrNotFound, "Get")
	_, err = s.bucket.Stat(s.t.Context(), key)
	require.ErrorIs(s.t, err, blob.ErrNotFound, "Stat")
}

// plain hides all methods of a reader except Read.
type plain struct{ io.Reader }

func (s suite) putAndGet() {
	for _, size := range []int{0, 1, 20_000, 5 << 20, 11<<20 + 1} {
		content := random(size, 1)
		for i, known := range []int64{int64(size), blob.UnknownSize} {
			for j, reader := range []io.Reader{bytes.NewReader(content), plain{bytes.NewReader(content)}, iotest.HalfReader(bytes.NewReader(content))} {
				key := fmt.Sprintf("blob-%d-%d-%d", size, i, j)
				err := s.bucket.Put(s.t.Context(), key, reader, known, blob.PutOptions{ContentType: "application/pdf"})
				require.NoError(s.t, err, key)
				s.requireContent(key, content)
			}
		}
	}
}

func (s suite) overwrite() {
	s.put("job/key", random(30_000, 1))
	for seed, size := range []int{40_000, 10, 0, 20} {
		content := random(size, uint64(seed+2))
		s.put("job/key", content)
		s.requireContent("job/key", content)
	}
}

// keys requires that similar keys are different blobs.
func (s suite) keys() {
	keys := []string{
		"a", "A", "b-c", "b_c", "b.c", "b/c", "...", ".hidden", "x..", "job/1.pdf", "job/1.png", "job2/1.pdf", "-", "_",
		"0190b5a2-7b1c-7cc3-98c4-dc0c0c07398f/8c4dc0c0-7398-4f01-90b5-a27b1c7cc398.pdf", strings.Repeat("k", 255),
		"d/" + strings.Repeat("k", 253), strings.Repeat("d/", 20) + "f",
	}
	for i, key := range keys {
		s.put(key, []byte(fmt.Sprint("blob ", i)))
	}
	for i, key := range keys {
		s.requireContent(key, []byte(fmt.Sprint("blob ", i)))
	}
}

func (s suite) invalidKeys() {
	ctx := s.t.Context()
	for _, key := range []string{
		"", ".", "..", "/", "/x", "x/", "../x", "a/../b", "a/..", "./a", "a/.", "a//b", "a\x00b", "a\nb", "a b", "a+b", `a\b`, "~", "ä",
		strings.Repeat("k", 256), strings.Repeat("k", 600), "../../../../tmp/x", "..%2fx",
	} {
		err := s.bucket.Put(ctx, key, strings.NewReader("x"), 1, blob.PutOptions{})
		require.ErrorIs(s.t, err, blob.ErrInvalidKey, "Put %q", key)
		err = s.bucket.Put(ctx, key, strings.NewReader("x"), blob.UnknownSize, blob.PutOptions{CreateOnce: true})
		require.ErrorIs(s.t, err, blob.ErrInvalidKey, "Put once %q", key)
		for _, length := range []int64{-1, 0, 1} {
			_, err = s.get(key, 0, length)
			require.ErrorIs(s.t, err, blob.ErrInvalidKey, "Get %q", key)
		}
		_, err = s.bucket.Stat(ctx, key)
		require.ErrorIs(s.t, err, blob.ErrInvalidKey, "Stat %q", key)
		require.ErrorIs(s.t, s.bucket.Delete(ctx, key), blob.ErrInvalidKey, "Delete %q", key)
	}
}

func (s suite) wrongSize() {
	old := []byte("the old blob")
	s.put("kept", old)
	for _, c := range []struct {
		size      int
		announced int64
	}{{10, 9}, {10, 11}, {0, 1}, {1, 0}, {100_000, 99_999}, {100_000, 100_001}, {100_000, 0}} {
		for _, key := range []string{"new", "kept"} {
			for _, content := range []io.Reader{bytes.NewReader(random(c.size, 1)), plain{bytes.NewReader(random(c.size, 1))}} {
				err := s.bucket.Put(s.t.Context(), key, content, c.announced, blob.PutOptions{})
				require.ErrorIs(s.t, err, blob.ErrSize, "%d bytes announced as %d", c.size, c.announced)
			}
		}
		s.requireMissing("new")
		s.requireContent("kept", old)
	}
}

func (s suite) failingContent() {
	broken := errors.New("the client has left")
	old := []byte("the old blob")
	s.put("kept", old)
	for _, received := range []int{0, 1000, 6 << 20} {
		for _, announced := range []int64{blob.UnknownSize, 12 << 20} {
			for _, key := range []string{"new", "kept"} {
				content := io.MultiReader(bytes.NewReader(random(received, 1)), iotest.ErrReader(broken))
				err := s.bucket.Put(s.t.Context(), key, content, announced, blob.PutOptions{})
				require.ErrorIs(s.t, err, broken, "after %d bytes", received)
			}
			s.requireMissing("new")
			s.requireContent("kept", old)
			once := io.MultiReader(bytes.NewReader(random(received, 1)), iotest.ErrReader(broken))
			err := s.bucket.Put(s.t.Context(), "once", once, announced, blob.PutOptions{CreateOnce: true})
			require.ErrorIs(s.t, err, broken)
			s.requireMissing("once")
		}
	}
	err := s.bucket.Put(s.t.Context(), "once", strings.NewReader("x"), 1, blob.PutOptions{CreateOnce: true})
	require.NoError(s.t, err, "a failed put does not take the key")
}

// paused is content that calls then after its first half.
type paused struct {
	first, second io.Reader
	then          func()
}

func (p *paused) Read(b []byte) (int, error) {
	n, err := p.first.Read(b)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if p.then != nil {
		p.then()
		p.then = nil
	}
	return p.second.Read(b)
}

func (s suite) notVisibleBeforeComplete() {
	old, content := []byte("the old blob"), random(14<<20, 2)
	s.put("kept", old)
	for _, size := range []int64{int64(len(content)), blob.UnknownSize} {
		for _, key := range []string{"new", "kept"} {
			reader := &paused{first: bytes.NewReader(content[:7<<20]), second: bytes.NewReader(content[7<<20:]), then: func() {
				if key == "new" {
					s.requireMissing(key)
				} else {
					s.requireContent(key, old)
				}
			}}
			require.NoError(s.t, s.bucket.Put(s.t.Context(), key, reader, size, blob.PutOptions{}))
			s.requireContent(key, content)
			require.NoError(s.t, s.bucket.Delete(s.t.Context(), "new"))
			s.put("kept", old)
		}
	}
}

func (s suite) createOnce() {
	once := blob.PutOptions{CreateOnce: true}
	for key, size := range map[string]int64{"known": 5, "unknown": blob.UnknownSize} {
		require.NoError(s.t, s.bucket.Put(s.t.Context(), key, strings.NewReader("first"), size, once))
		require.ErrorIs(s.t, s.bucket.Put(s.t.Context(), key, strings.NewReader("again"), size, once), blob.ErrExists)
		s.requireContent(key, []byte("first"))
		require.NoError(s.t, s.bucket.Put(s.t.Context(), key, strings.NewReader("other"), size, blob.PutOptions{}), "a plain put overwrites")
		s.requireContent(key, []byte("other"))
		require.NoError(s.t, s.bucket.Delete(s.t.Context(), key))
		require.NoError(s.t, s.bucket.Put(s.t.Context(), key, strings.NewReader("third"), size, once), "a deleted key is free")
		s.requireContent(key, []byte("third"))
	}
}

// concurrently calls do for 0 to n-1 at once and returns the errors.
func concurrently(n int, do func(i int) error) []error {
	failures := make([]error, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-start
			failures[i] = do(i)
		})
	}
	close(start)
	group.Wait()
	return failures
}

// meeting is content that ends only when all puts of the same round have begun, or after a while: an implementation may
// run them one after another.
type meeting struct {
	content io.Reader
	begun   *sync.WaitGroup
	begin   sync.Once
	all     <-chan struct{}
}

const maxMeeting = 200 * time.Millisecond

func (m *meeting) Read(p []byte) (int, error) {
	n, err := m.content.Read(p)
	m.begin.Do(func() {
		m.begun.Done()
		select {
		case <-m.all:
		case <-time.After(maxMeeting):
		}
	})
	return n, err
}

func (s suite) createOnceConcurrently() {
	const puts = 8
	for round := range 5 {
		key := fmt.Sprint("key-", round)
		var begun sync.WaitGroup
		begun.Add(puts)
		all := make(chan struct{})
		go func() {
			begun.Wait()
			close(all)
		}()
		failures := concurrently(puts, func(i int) error {
			content := &meeting{content: bytes.NewReader(random(20_000, uint64(i))), begun: &begun, all: all}
			defer content.begin.Do(begun.Done) // it was refused without being read
			return s.bucket.Put(s.t.Context(), key, content, 20_000, blob.PutOptions{CreateOnce: true})
		})
		winner := -1
		for i, err := range failures {
			if err == nil {
				require.Equal(s.t, -1, winner, "two puts created the same key")
				winner = i
				continue
			}
			require.ErrorIs(s.t, err, blob.ErrExists)
		}
		require.NotEqual(s.t, -1, winner, "no put created the key")
		s.requireContent(key, random(20_000, uint64(winner)))
	}
}

// concurrentPuts requires that a reader always finds one of the contents as a whole.
func (s suite) concurrentPuts() {
	const writers, size = 4, 100_000
	contents := make([][]byte, writers)
	for i := range contents {
		contents[i] = random(size, uint64(i))
	}
	s.put("key", contents[0])
	failures := concurrently(2*writers, func(i int) error {
		for range 10 {
			if i < writers {
				if err := s.bucket.Put(s.t.Context(), "key", plain{bytes.NewReader(contents[i])}, size, blob.PutOptions{}); err != nil {
					return err
				}
				continue
			}
			got, err := s.get("key", 0, -1)
			if err != nil {
				return err
			}
			if !isOneOf(got, contents) {
				return errors.New("the blob is a mixture")
			}
		}
		return nil
	})
	require.NoError(s.t, errors.Join(failures...))
}

func isOneOf(got []byte, contents [][]byte) bool {
	for _, content := range contents {
		if bytes.Equal(got, content) {
			return true
		}
	}
	return false
}

func (s suite) ranges() {
	s.put("key", []byte("0123456789"))
	s.put("empty", nil)
	for _, c := range []struct {
		key            string
		offset, length int64
		want           string
	}{
		{"key", 0, -1, "0123456789"},
		{"key", 3, -1, "3456789"},
		{"key", 0, 4, "0123"},
		{"key", 3, 4, "3456"},
		{"key", 0, 10, "0123456789"},
		{"key", 9, 1, "9"},
		{"key", 9, -1, "9"},
		{"key", 3, 0, ""},
		{"key", 0, 0, ""},
		{"key", 8, 5, "89"},
		{"key", 0, 1 << 40, "0123456789"},
		{"key", 10, 1, ""},
		{"key", 10, -1, ""},
		{"key", 11, 5, ""},
		{"key", 1 << 40, -1, ""},
		{"empty", 0, -1, ""},
		{"empty", 0, 1, ""},
		{"empty", 1, 1, ""},
	} {
		got, err := s.get(c.key, c.offset, c.length)
		require.NoError(s.t, err, "%s from %d, %d bytes", c.key, c.offset, c.length)
		require.Equal(s.t, c.want, string(got), "%s from %d, %d bytes", c.key, c.offset, c.length)
	}
	_, err := s.get("key", -1, 1)
	require.Error(s.t, err, "a negative offset")
	large := random(9<<20, 3)
	s.put("large", large)
	got, err := s.get("large", 4<<20, 1<<20)
	require.NoError(s.t, err)
	require.True(s.t, bytes.Equal(large[4<<20:5<<20], got))
}

func (s suite) readerAt() {
	content := random(1000, 1)
	s.put("key", content)
	reader := blob.NewReaderAt(s.t.Context(), s.bucket, "key", 1000)
	require.NoError(s.t, iotest.TestReader(io.NewSectionReader(reader, 0, 1000), content))
	_, err := reader.ReadAt(make([]byte, 1), 1000)
	require.ErrorIs(s.t, err, io.EOF)
	tooLong := blob.NewReaderAt(s.t.Context(), s.bucket, "key", 2000)
	_, err = tooLong.ReadAt(make([]byte, 200), 900)
	require.ErrorIs(s.t, err, io.ErrUnexpectedEOF, "a blob that is shorter than its size")
	missing := blob.NewReaderAt(s.t.Context(), s.bucket, "missing", 1000)
	_, err = missing.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(s.t, err, blob.ErrNotFound)
}

func (s suite) notFound() {
	s.put("job/1.pdf", []byte("x"))
	for _, key := range []string{"missing", "job", "job/2.pdf", "job/1.pd", "other/1.pdf"} {
		s.requireMissing(key)
		for _, c := range [][2]int64{{0, 0}, {0, 1}, {5, 1}, {5, -1}} {
			_, err := s.get(key, c[0], c[1])
			require.ErrorIs(s.t, err, blob.ErrNotFound, "%s from %d, %d bytes", key, c[0], c[1])
		}
	}
}

// copy requires that a copy is a blob of its own, and as new as the copying.
func (s suite) copy() {
	began := time.Now().Add(-time.Minute) // the store's clock may differ
	for _, size := range []int{0, 20_000, 11 << 20} {
		content := random(size, 1)
		s.put("one/from.pdf", content)
		require.NoError(s.t, s.bucket.Copy(s.t.Context(), "two/to.pdf", "one/from.pdf"))
		s.requireContent("two/to.pdf", content)
		s.requireContent("one/from.pdf", content)
		s.put("one/from.pdf", []byte("another"))
		s.requireContent("two/to.pdf", content)
		require.NoError(s.t, s.bucket.Delete(s.t.Context(), "one/from.pdf"))
		s.requireContent("two/to.pdf", content)
	}
	require.ErrorIs(s.t, s.bucket.Copy(s.t.Context(), "three/to.pdf", "one/from.pdf"), blob.ErrNotFound)
	s.requireMissing("three/to.pdf")
	require.ErrorIs(s.t, s.bucket.Copy(s.t.Context(), "../to.pdf", "two/to.pdf"), blob.ErrInvalidKey)
	require.ErrorIs(s.t, s.bucket.Copy(s.t.Context(), "three/to.pdf", "../to.pdf"), blob.ErrInvalidKey)

	s.put("old", []byte("old"))
	var put time.Time
	for entry, err := range s.bucket.List(s.t.Context(), "", "") {
		require.NoError(s.t, err)
		require.True(s.t, entry.ModifiedAt.After(began))
		if entry.Key == "old" {
			put = entry.ModifiedAt
		}
	}
	// Some stores keep whole seconds.
	require.EventuallyWithT(s.t, func(t *assert.CollectT) {
		require.NoError(t, s.bucket.Copy(s.t.Context(), "new", "old"))
		for entry, err := range s.bucket.List(s.t.Context(), "new", "") {
			require.NoError(t, err)
			require.True(t, entry.ModifiedAt.After(put), "a copy is as old as the original")
		}
	}, time.Minute, 100*time.Millisecond)
}

func (s suite) delete() {
	s.put("job/1.pdf", []byte("one"))
	s.put("job/2.pdf", []byte("two"))
	require.NoError(s.t, s.bucket.Delete(s.t.Context(), "job/1.pdf"))
	s.requireMissing("job/1.pdf")
	s.requireContent("job/2.pdf", []byte("two"))
	require.NoError(s.t, s.bucket.Delete(s.t.Context(), "job/1.pdf"), "deleting again")
	require.NoError(s.t, s.bucket.Delete(s.t.Context(), "job/3.pdf"), "deleting what never existed")
	require.NoError(s.t, s.bucket.Delete(s.t.Context(), "never/1.pdf"))
	require.NoError(s.t, s.bucket.Delete(s.t.Context(), "job/2.pdf"))
	s.requireMissing("job/2.pdf")
	s.put("job/1.pdf", []byte("three"))
	s.requireContent("job/1.pdf", []byte("three"))
}

// overwriteWhileReading requires that a stream does not mix an old and a new blob. It may fail.
func (s suite) overwriteWhileReading() {
	contents := [][]byte{random(8<<20, 1), random(8<<20, 2)}
	s.put("key", contents[0])
	body, err := s.bucket.Get(s.t.Context(), "key", 0, -1)
	require.NoError(s.t, err)
	defer body.Close()
	got := make([]byte, 1<<20)
	_, err = io.ReadFull(body, got)
	require.NoError(s.t, err)
	s.put("key", contents[1])
	rest, err := io.ReadAll(body)
	if err == nil {
		require.True(s.t, isOneOf(slices.Concat(got, rest), contents), "the stream is a mixture")
	}
	s.requireContent("key", contents[1])
}

func (s suite) canceledContext() {
	s.put("key", []byte("old"))
	canceled, cancel := context.WithCancel(s.t.Context())
	cancel()
	err := s.bucket.Put(canceled, "key", strings.NewReader("new"), 3, blob.PutOptions{})
	require.ErrorIs(s.t, err, context.Canceled)
	err = s.bucket.Put(canceled, "new", strings.NewReader("new"), blob.UnknownSize, blob.PutOptions{CreateOnce: true})
	require.ErrorIs(s.t, err, context.Canceled)
	_, err = s.bucket.Get(canceled, "key", 0, -1)
	require.ErrorIs(s.t, err, context.Canceled)
	s.requireContent("key", []byte("old"))
	s.requireMissing("new")

	large := random(20<<20, 1)
	canceled, cancel = context.WithCancel(s.t.Context())
	content := &paused{first: bytes.NewReader(large[:8<<20]), second: bytes.NewReader(large[8<<20:]), then: cancel}
	require.ErrorIs(s.t, s.bucket.Put(canceled, "new", content, int64(len(large)), blob.PutOptions{}), context.Canceled)
	s.requireMissing("new")

	s.put("large", large)
	reading, cancel := context.WithCancel(s.t.Context())
	body, err := s.bucket.Get(reading, "large", 0, -1)
	require.NoError(s.t, err)
	defer body.Close()
	_, err = io.ReadFull(body, make([]byte, 1000))
	require.NoError(s.t, err)
	cancel()
	_, err = io.Copy(io.Discard, body)
	require.ErrorIs(s.t, err, context.Canceled)
}

// Limits of the memory that a blob of 64 MiB may take.
const (
	largeSize = 64 << 20
	maxHeap   = 32 << 20
)

// sampler is content of zeros that watches the heap while it is read.
type sampler struct {
	left, peak uint64
	next       uint64
}

func (z *sampler) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	if z.left <= z.next {
		z.next = z.left - min(z.left, 4<<20)
		z.peak = max(z.peak, heap())
	}
	n := min(uint64(len(p)), z.left)
	clear(p[:n])
	z.left -= n
	return int(n), nil
}

// heap returns the bytes of live objects.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func (s suite) boundedMemory() {
	for _, size := range []int64{largeSize, blob.UnknownSize} {
		before := heap()
		content := &sampler{left: largeSize, next: largeSize}
		require.NoError(s.t, s.bucket.Put(s.t.Context(), "large", content, size, blob.PutOptions{}))
		require.Less(s.t, content.peak, before+maxHeap, "the heap while a blob of announced size %d was put", size)
	}
	before := heap()
	body, err := s.bucket.Get(s.t.Context(), "large", 0, -1)
	require.NoError(s.t, err)
	defer body.Close()
	n, err := io.CopyN(io.Discard, body, largeSize/2)
	require.NoError(s.t, err)
	require.Less(s.t, heap(), before+maxHeap, "the heap while a blob is read")
	rest, err := io.Copy(io.Discard, body)
	require.NoError(s.t, err)
	require.EqualValues(s.t, largeSize, n+rest)
}

func (s suite) check() {
	require.NoError(s.t, s.bucket.Check(s.t.Context()))
}
