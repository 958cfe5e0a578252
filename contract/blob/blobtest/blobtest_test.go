package blobtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/blob/blobtest"
)

// memory is a correct implementation in memory, except that it holds blobs in memory as a whole: it stores only the
// length of blobs of zeros.
type memory struct {
	mutex sync.Mutex
	blobs map[string]content
	puts  map[*unfinished]bool
}

// unfinished is a put in progress.
type unfinished struct {
	began   time.Time
	deleted bool
}

// content is zeros followed by data.
type content struct {
	zeros int64
	data  []byte
	put   time.Time
}

func newMemory() *memory { return &memory{blobs: map[string]content{}, puts: map[*unfinished]bool{}} }

// receive reads content to its end.
func receive(ctx context.Context, r io.Reader) (content, error) {
	var received content
	buffer := make([]byte, 32<<10)
	for {
		if err := ctx.Err(); err != nil {
			return received, err
		}
		n, err := r.Read(buffer)
		if len(received.data) == 0 && len(bytes.Trim(buffer[:n], "\x00")) == 0 {
			received.zeros += int64(n)
		} else {
			received.data = append(received.data, buffer[:n]...)
		}
		if errors.Is(err, io.EOF) {
			return received, nil
		}
		if err != nil {
			return received, err
		}
	}
}

func (c content) size() int64 { return c.zeros + int64(len(c.data)) }

// ReadAt implements io.ReaderAt.
func (c content) ReadAt(p []byte, offset int64) (int, error) {
	n := 0
	for n < len(p) && offset < c.size() {
		if offset < c.zeros {
			length := int(min(int64(len(p)-n), c.zeros-offset))
			clear(p[n : n+length])
			n, offset = n+length, offset+int64(length)
			continue
		}
		length := copy(p[n:], c.data[offset-c.zeros:])
		n, offset = n+length, offset+int64(length)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memory) Put(ctx context.Context, key string, r io.Reader, size int64, options blob.PutOptions) error {
	if err := blob.ValidateKey(key); err != nil {
		return err
	}
	put := &unfinished{began: time.Now()}
	m.mutex.Lock()
	m.puts[put] = true
	m.mutex.Unlock()
	received, err := receive(ctx, blob.Exactly(r, size))
	m.mutex.Lock()
	defer m.mutex.Unlock()
	delete(m.puts, put)
	if err != nil {
		return err
	}
	if put.deleted {
		return errors.New("the beginning of the content is gone")
	}
	if _, found := m.blobs[key]; found && options.CreateOnce {
		return blob.ErrExists
	}
	received.put = time.Now()
	m.blobs[key] = received
	return nil
}

func (m *memory) List(ctx context.Context, prefix, after string) iter.Seq2[blob.Entry, error] {
	return func(yield func(blob.Entry, error) bool) {
		m.mutex.Lock()
		keys := slices.Sorted(maps.Keys(m.blobs))
		m.mutex.Unlock()
		for _, key := range keys {
			found, err := m.find(key)
			if key <= after || !strings.HasPrefix(key, prefix) || err != nil || ctx.Err() != nil {
				continue
			}
			if !yield(blob.Entry{Key: key, Size: found.size(), ModifiedAt: found.put}, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(blob.Entry{}, err)
		}
	}
}

func (m *memory) DeleteUnfinished(_ context.Context, olderThan time.Duration) (int, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	deleted := 0
	for put := range m.puts {
		if time.Since(put.began) >= olderThan && !put.deleted {
			put.deleted = true
			deleted++
		}
	}
	return deleted, nil
}

func (m *memory) find(key string) (content, error) {
	if err := blob.ValidateKey(key); err != nil {
		return content{}, err
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	found, ok := m.blobs[key]
	if !ok {
		return content{}, blob.ErrNotFound
	}
	return found, nil
}

func (m *memory) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found, err := m.find(key)
	if err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, errors.New("negative offset")
	}
	if length < 0 {
		length = max(found.size()-offset, 0)
	}
	return io.NopCloser(contextReader{ctx, io.NewSectionReader(found, offset, length)}), nil
}

type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

func (m *memory) Stat(_ context.Context, key string) (int64, error) {
	found, err := m.find(key)
	return found.size(), err
}

func (m *memory) Copy(ctx context.Context, key, from string) error {
	content, err := m.Get(ctx, from, 0, -1)
	if err != nil {
		return err
	}
	defer content.Close()
	return m.Put(ctx, key, content, blob.UnknownSize, blob.PutOptions{})
}

func (m *memory) Delete(_ context.Context, key string) error {
	if err := blob.ValidateKey(key); err != nil {
		return err
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	delete(m.blobs, key)
	return nil
}

func (m *memory) Check(context.Context) error { return nil }

func TestCorrectImplementationPasses(t *testing.T) { //nolint:paralleltest // it measures the heap
	blobtest.Run(t, func(*testing.T) blob.Bucket { return newMemory() })
}

// bugged is a correct implementation with one method replaced.
type bugged struct {
	*memory

	put    func(m *memory, ctx context.Context, key string, r io.Reader, size int64, options blob.PutOptions) error
	get    func(m *memory, ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	stat   func(m *memory, ctx context.Context, key string) (int64, error)
	copy   func(m *memory, ctx context.Context, key, from string) error
	remove func(m *memory, ctx context.Context, key string) error
	check  func() error
	list   func(m *memory, ctx context.Context, prefix, after string) iter.Seq2[blob.Entry, error]
	clean  func(m *memory, ctx context.Context, olderThan time.Duration) (int, error)
}

func (b bugged) List(ctx context.Context, prefix, after string) iter.Seq2[blob.Entry, error] {
	if b.list != nil {
		return b.list(b.memory, ctx, prefix, after)
	}
	return b.memory.List(ctx, prefix, after)
}

func (b bugged) DeleteUnfinished(ctx context.Context, olderThan time.Duration) (int, error) {
	if b.clean != nil {
		return b.clean(b.memory, ctx, olderThan)
	}
	return b.memory.DeleteUnfinished(ctx, olderThan)
}

func (b bugged) Put(ctx context.Context, key string, r io.Reader, size int64, options blob.PutOptions) error {
	if b.put != nil {
		return b.put(b.memory, ctx, key, r, size, options)
	}
	return b.memory.Put(ctx, key, r, size, options)
}

func (b bugged) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if b.get != nil {
		return b.get(b.memory, ctx, key, offset, length)
	}
	return b.memory.Get(ctx, key, offset, length)
}

func (b bugged) Stat(ctx context.Context, key string) (int64, error) {
	if b.stat != nil {
		return b.stat(b.memory, ctx, key)
	}
	return b.memory.Stat(ctx, key)
}

func (b bugged) Copy(ctx context.Context, key, from string) error {
	if b.copy != nil {
		return b.copy(b.memory, ctx, key, from)
	}
	return b.memory.Copy(ctx, key, from)
}

func (b bugged) Delete(ctx context.Context, key string) error {
	if b.remove != nil {
		return b.remove(b.memory, ctx, key)
	}
	return b.memory.Delete(ctx, key)
}

func (b bugged) Check(ctx context.Context) error {
	if b.check != nil {
		return b.check()
	}
	return b.memory.Check(ctx)
}

func (m *memory) set(key string, value content) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.blobs[key] = value
}

// visibleEarly makes each received piece visible at once.
func visibleEarly(m *memory, ctx context.Context, key string, r io.Reader, size int64, options blob.PutOptions) error {
	if blob.ValidateKey(key) != nil || options.CreateOnce {
		return m.Put(ctx, key, r, size, options)
	}
	var received content
	return m.Put(ctx, key, io.TeeReader(r, writerFunc(func(p []byte) (int, error) {
		received.data = append(received.data, p...)
		m.set(key, received)
		return len(p), nil
	})), size, options)
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// truncating stores what it has when content fails.
func truncating(m *memory, ctx context.Context, key string, r io.Reader, size int64, options blob.PutOptions) error {
	if blob.ValidateKey(key) != nil {
		return blob.ErrInvalidKey
	}
	received, err := receive(ctx, blob.Exactly(r, size))
	if err != nil && !errors.Is(err, blob.ErrSize) && !errors.Is(err, context.Canceled) {
		m.set(key, received)
		return err
	}
	if err != nil {
		return err
	}
	return m.Put(ctx, key, received.reader(), received.size(), options)
}

func (c content) reader() io.Reader { return io.NewSectionReader(c, 0, c.size()) }

// racing checks for an existing blob before it stores, but not when it stores.
func racing(m *memory, ctx context.Context, key string, r io.Reader, size int64, options blob.PutOptions) error {
	if _, err := m.find(key); err == nil && options.CreateOnce {
		return blob.ErrExists
	}
	return m.Put(ctx, key, r, size, blob.PutOptions{})
}

// escaping resolves "..", and takes keys of any length.
func escaping(m *memory, ctx context.Context, key string, r io.Reader, size int64, options blob.PutOptions) error {
	if strings.Contains(key, "..") || len(key) > 255 {
		key = "escaped"
	}
	return m.Put(ctx, key, r, size, options)
}

// listing returns a listing that f has changed.
func listing(
	f func(entries []blob.Entry, prefix, after string) []blob.Entry,
) func(m *memory, ctx context.Context, prefix, after string) iter.Seq2[blob.Entry, error] {
	return func(m *memory, ctx context.Context, prefix, after string) iter.Seq2[blob.Entry, error] {
		return func(yield func(blob.Entry, error) bool) {
			var all []blob.Entry
			for entry := range m.List(context.WithoutCancel(ctx), "", "") {
				all = append(all, entry)
			}
			for _, entry := range f(all, prefix, after) {
				if !yield(entry, nil) {
					return
				}
			}
			if err := ctx.Err(); err != nil {
				yield(blob.Entry{}, err)
			}
		}
	}
}

// selected is what a listing of entries has to contain, except for those with another prefix or key that is not after.
func selected(entries []blob.Entry, prefix, after string) []blob.Entry {
	return slices.DeleteFunc(entries, func(e blob.Entry) bool { return e.Key <= after || !strings.HasPrefix(e.Key, prefix) })
}

// pageByPage lists a page of blobs, and begins the next one where it ended by its number.
func pageByPage(m *memory, ctx context.Context, prefix, after string) iter.Seq2[blob.Entry, error] {
	return func(yield func(blob.Entry, error) bool) {
		const page = 1000
		for skip := 0; ; skip += page {
			n := 0
			for entry, err := range m.List(ctx, prefix, after) {
				if n++; n > skip && n <= skip+page && !yield(entry, err) {
					return
				}
			}
			if n <= skip+page {
				return
			}
		}
	}
}

// defects are the planted ones, by the test of the suite that must find them.
var defects = map[string]struct {
	test   string
	bucket bugged
}{
	"blob is visible before it is complete": {"NotVisibleBeforeComplete", bugged{put: visibleEarly}},
	"create-once is ignored": {"CreateOnce", bugged{put: func(m *memory, ctx context.Context, key string, r io.Reader, size int64, _ blob.PutOptions) error {
		return m.Put(ctx, key, r, size, blob.PutOptions{})
	}}},
	"create-once is not atomic": {"CreateOnceConcurrently", bugged{put: racing}},
	"every put is create-once": {"Overwrite", bugged{put: func(m *memory, ctx context.Context, key string, r io.Reader, size int64, _ blob.PutOptions) error {
		return m.Put(ctx, key, r, size, blob.PutOptions{CreateOnce: true})
	}}},
	"failing content leaves a truncated blob": {"FailingContent", bugged{put: truncating}},
	"failing content deletes the old blob": {"FailingContent", bugged{put: func(m *memory, ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
		err := m.Put(ctx, key, r, size, o)
		if err != nil && !errors.Is(err, blob.ErrSize) && !errors.Is(err, blob.ErrExists) {
			m.set(key, content{})
			delete(m.blobs, key)
		}
		return err
	}}},
	"failing content counts as its end": {"FailingContent", bugged{put: func(m *memory, ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
		received, err := receive(ctx, r)
		if err != nil {
			size = received.size()
		}
		return m.Put(ctx, key, received.reader(), size, o)
	}}},
	"size is ignored": {"WrongSize", bugged{put: func(m *memory, ctx context.Context, key string, r io.Reader, _ int64, o blob.PutOptions) error {
		return m.Put(ctx, key, r, blob.UnknownSize, o)
	}}},
	"content is cut at its size": {"WrongSize", bugged{put: func(m *memory, ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
		if size > 0 {
			r = io.LimitReader(r, size)
		}
		return m.Put(ctx, key, r, size, o)
	}}},
	"empty blob is not stored": {"PutAndGet", bugged{put: func(m *memory, ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
		if size == 0 {
			return nil
		}
		return m.Put(ctx, key, r, size, o)
	}}},
	"keys are not case-sensitive": {"Keys", bugged{put: func(m *memory, ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
		return m.Put(ctx, strings.ToLower(key), r, size, o)
	}}},
	"key escapes the bucket": {"InvalidKeys", bugged{put: escaping}},
	"invalid key is merely not found": {"InvalidKeys", bugged{get: func(m *memory, ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
		if blob.ValidateKey(key) != nil {
			return nil, blob.ErrNotFound
		}
		return m.Get(ctx, key, offset, length)
	}}},
	"range is ignored": {"Ranges", bugged{get: func(m *memory, ctx context.Context, key string, _, _ int64) (io.ReadCloser, error) {
		return m.Get(ctx, key, 0, -1)
	}}},
	"length is ignored": {"Ranges", bugged{get: func(m *memory, ctx context.Context, key string, offset, _ int64) (io.ReadCloser, error) {
		return m.Get(ctx, key, offset, -1)
	}}},
	"range after the end fails": {"Ranges", bugged{get: func(m *memory, ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
		if size, err := m.Stat(ctx, key); err == nil && offset > size {
			return nil, errors.New("range not satisfiable")
		}
		return m.Get(ctx, key, offset, length)
	}}},
	"missing blob is not mapped to ErrNotFound": {"NotFound", bugged{get: func(m *memory, ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
		body, err := m.Get(ctx, key, offset, length)
		if errors.Is(err, blob.ErrNotFound) {
			err = errors.New("NoSuchKey")
		}
		return body, err
	}}},
	"missing blob has size 0": {"NotFound", bugged{stat: func(m *memory, ctx context.Context, key string) (int64, error) {
		size, err := m.Stat(ctx, key)
		if errors.Is(err, blob.ErrNotFound) {
			return 0, nil
		}
		return size, err
	}}},
	"copy moves": {"Copy", bugged{copy: func(m *memory, ctx context.Context, key, from string) error {
		return errors.Join(m.Copy(ctx, key, from), m.Delete(ctx, from))
	}}},
	"copy of a missing blob is empty": {"Copy", bugged{copy: func(m *memory, ctx context.Context, key, from string) error {
		err := m.Copy(ctx, key, from)
		if errors.Is(err, blob.ErrNotFound) {
			return m.Put(ctx, key, strings.NewReader(""), 0, blob.PutOptions{})
		}
		return err
	}}},
	"copy has the time of the original": {"Copy", bugged{copy: func(m *memory, ctx context.Context, key, from string) error {
		original, found := m.find(from)
		err := m.Copy(ctx, key, from)
		if found == nil && err == nil {
			m.set(key, original)
		}
		return err
	}}},
	"deleting a missing blob fails": {"Delete", bugged{remove: func(m *memory, ctx context.Context, key string) error {
		if _, err := m.Stat(ctx, key); err != nil {
			return err
		}
		return m.Delete(ctx, key)
	}}},
	"delete does nothing": {"Delete", bugged{remove: func(*memory, context.Context, string) error { return nil }}},
	"deleting a blob deletes its job's others": {"Delete", bugged{remove: func(m *memory, ctx context.Context, key string) error {
		job, _, _ := strings.Cut(key, "/")
		for other := range m.blobs {
			if strings.HasPrefix(other, job+"/") {
				delete(m.blobs, other)
			}
		}
		return m.Delete(ctx, key)
	}}},
	"list is in the order of a directory": {"List", bugged{list: listing(func(all []blob.Entry, prefix, after string) []blob.Entry {
		slices.SortFunc(all, func(a, b blob.Entry) int {
			return strings.Compare(strings.ReplaceAll(a.Key, "/", "+"), strings.ReplaceAll(b.Key, "/", "+"))
		})
		return selected(all, prefix, after)
	})}},
	"list ignores the prefix": {"List", bugged{list: listing(func(all []blob.Entry, _, after string) []blob.Entry {
		return selected(all, "", after)
	})}},
	"prefix of a list is a folder": {"List", bugged{list: listing(func(all []blob.Entry, prefix, after string) []blob.Entry {
		if prefix != "" {
			prefix = strings.TrimSuffix(prefix, "/") + "/"
		}
		return selected(all, prefix, after)
	})}},
	"list begins with the key": {"List", bugged{list: listing(func(all []blob.Entry, prefix, after string) []blob.Entry {
		return slices.DeleteFunc(all, func(e blob.Entry) bool { return e.Key < after || !strings.HasPrefix(e.Key, prefix) })
	})}},
	"list groups folders": {"List", bugged{list: listing(func(all []blob.Entry, prefix, after string) []blob.Entry {
		return slices.DeleteFunc(selected(all, prefix, after), func(e blob.Entry) bool { return strings.Contains(e.Key[len(prefix):], "/") })
	})}},
	"list has no sizes": {"List", bugged{list: listing(func(all []blob.Entry, prefix, after string) []blob.Entry {
		for i := range all {
			all[i].Size = 0
		}
		return selected(all, prefix, after)
	})}},
	"list has no times": {"List", bugged{list: listing(func(all []blob.Entry, prefix, after string) []blob.Entry {
		for i := range all {
			all[i].ModifiedAt = time.Time{}
		}
		return selected(all, prefix, after)
	})}},
	"list ignores its context": {"List", bugged{list: func(m *memory, ctx context.Context, prefix, after string) iter.Seq2[blob.Entry, error] {
		return m.List(context.WithoutCancel(ctx), prefix, after)
	}}},
	"list ends after a page": {"ListPages", bugged{list: listing(func(all []blob.Entry, prefix, after string) []blob.Entry {
		all = selected(all, prefix, after)
		return all[:min(len(all), 1000)]
	})}},
	"list skips blobs when others are deleted": {"ListWhileDeleting", bugged{list: pageByPage}},
	"unfinished puts are not deleted": {"DeleteUnfinished", bugged{clean: func(*memory, context.Context, time.Duration) (int, error) {
		return 0, nil
	}}},
	"every put in progress is deleted": {"DeleteUnfinished", bugged{clean: func(m *memory, ctx context.Context, _ time.Duration) (int, error) {
		return m.DeleteUnfinished(ctx, 0)
	}}},
	"complete blobs are deleted": {"DeleteUnfinished", bugged{clean: func(m *memory, ctx context.Context, olderThan time.Duration) (int, error) {
		n, err := m.DeleteUnfinished(ctx, olderThan)
		m.mutex.Lock()
		defer m.mutex.Unlock()
		maps.DeleteFunc(m.blobs, func(_ string, c content) bool { return time.Since(c.put) >= olderThan })
		return n, err
	}}},
	"put ignores its context": {"CanceledContext", bugged{put: func(m *memory, ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
		return m.Put(context.WithoutCancel(ctx), key, r, size, o)
	}}},
	"stream ignores its context": {"CanceledContext", bugged{get: func(m *memory, ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return m.Get(context.WithoutCancel(ctx), key, offset, length)
	}}},
	"blob is held in memory": {"BoundedMemory", bugged{put: func(m *memory, ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
		whole, err := io.ReadAll(contextReader{ctx, blob.Exactly(r, size)})
		if err != nil {
			return errors.Join(err, blob.ValidateKey(key))
		}
		return m.Put(ctx, key, bytes.NewReader(whole), size, o)
	}}},
	"check always fails": {"Check", bugged{check: func() error { return errors.New("down") }}},
}

// bugVariable names the defect that TestDefect runs the suite with.
const bugVariable = "BLOBTEST_DEFECT"

// TestDefect is run by TestSuiteFindsDefects in a process of its own, because it has to fail.
func TestDefect(t *testing.T) { //nolint:paralleltest // it measures the heap
	name := os.Getenv(bugVariable)
	if name == "" {
		t.SkipNow() // the process that runs all tests
	}
	blobtest.Run(t, func(*testing.T) blob.Bucket {
		bucket := defects[name].bucket
		bucket.memory = newMemory()
		return bucket
	})
}

func TestSuiteFindsDefects(t *testing.T) {
	t.Parallel()
	failed := regexp.MustCompile(`--- FAIL: TestDefect/(\w+)`)
	for name, defect := range defects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDefect$/^"+defect.test+"$")
			command.Env = append(os.Environ(), bugVariable+"="+name)
			output, err := command.CombinedOutput()
			require.Error(t, err, "the suite passed")
			var found []string
			for _, match := range failed.FindAllSubmatch(output, -1) {
				found = append(found, string(match[1]))
			}
			require.Contains(t, found, defect.test, string(output))
		})
	}
}
