package directory_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/blob/blobtest"
	"github.com/docmill/docmill/platform/directory"
)

// open opens a bucket in a directory and closes it when the test ends.
func open(t testing.TB, root string) *directory.Bucket {
	t.Helper()
	bucket, err := directory.Open(root)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	return bucket
}

func TestConformance(t *testing.T) { //nolint:paralleltest // it measures the heap
	blobtest.Run(t, func(t *testing.T) blob.Bucket {
		t.Helper()
		outer := t.TempDir()
		root := filepath.Join(outer, "data", "blobs")
		bucket := open(t, root)
		t.Cleanup(func() {
			require.Empty(t, files(t, filepath.Join(root, "+incoming")), "unfinished files are left")
			require.Equal(t, []string{"data"}, files(t, outer), "something was written outside of the root")
			require.Equal(t, []string{"blobs"}, files(t, filepath.Join(outer, "data")))
		})
		return bucket
	})
}

// files lists the names in a directory.
func files(t testing.TB, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(path)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func put(t testing.TB, bucket blob.Bucket, key, content string) {
	t.Helper()
	require.NoError(t, bucket.Put(t.Context(), key, strings.NewReader(content), int64(len(content)), blob.PutOptions{}))
}

func TestFilesArePrivateAndSurviveReopening(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "blobs")
	bucket, err := directory.Open(root)
	require.NoError(t, err)
	put(t, bucket, "job/1.pdf", "one")
	require.NoError(t, bucket.Put(t.Context(), "once", strings.NewReader("x"), 1, blob.PutOptions{CreateOnce: true}))
	require.NoError(t, bucket.Close())
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := entry.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, path)
		return nil
	}))
	require.ElementsMatch(t, []string{"+incoming", "job+1.pdf", "once"}, files(t, root))
	size, err := open(t, root).Stat(t.Context(), "job/1.pdf")
	require.NoError(t, err)
	require.EqualValues(t, 3, size)
}

func TestDeleteLeavesNothing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	bucket := open(t, root)
	put(t, bucket, "job/1.pdf", "one")
	require.NoError(t, bucket.Delete(t.Context(), "job/1.pdf"))
	require.Equal(t, []string{"+incoming"}, files(t, root))
}

func TestSymbolicLinksAndOtherFilesAreNotBlobs(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	bucket := open(t, root)
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	require.NoError(t, os.Symlink(secret, filepath.Join(root, "absolute")))
	put(t, bucket, "target", "blob")
	require.NoError(t, os.Symlink("target", filepath.Join(root, "relative")))
	require.NoError(t, os.Mkdir(filepath.Join(root, "directory"), 0o700))
	require.NoError(t, syscall.Mkfifo(filepath.Join(root, "pipe"), 0o600))
	for _, key := range []string{"absolute", "relative", "directory", "pipe"} {
		_, err := bucket.Get(t.Context(), key, 0, -1)
		require.ErrorIs(t, err, blob.ErrNotFound, key)
		_, err = bucket.Stat(t.Context(), key)
		require.ErrorIs(t, err, blob.ErrNotFound, key)
	}
	put(t, bucket, "absolute", "replaced")
	content, err := os.ReadFile(secret)
	require.NoError(t, err)
	require.Equal(t, "secret", string(content), "a put replaces a link and does not follow it")
}

// A killed process is replaced by the test binary itself, which dies in the middle of a put.
func TestUnfinishedFilesAreRemovedAtOpen(t *testing.T) {
	t.Parallel()
	const variable = "DIRECTORY_TEST_ROOT"
	if root := os.Getenv(variable); root != "" {
		bucket := open(t, root)
		put(t, bucket, "complete", "complete")
		content := readerFunc(func(p []byte) (int, error) {
			if len(files(t, filepath.Join(root, "+incoming"))) == 1 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
			return copy(p, "half"), nil
		})
		_ = bucket.Put(t.Context(), "half", content, blob.UnknownSize, blob.PutOptions{})
		return
	}
	root := t.TempDir()
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	command.Env = append(os.Environ(), variable+"="+root)
	output, err := command.CombinedOutput()
	require.ErrorContains(t, err, "killed", string(output))
	require.Len(t, files(t, filepath.Join(root, "+incoming")), 1)
	bucket := open(t, root)
	require.Empty(t, files(t, filepath.Join(root, "+incoming")))
	require.ElementsMatch(t, []string{"+incoming", "complete"}, files(t, root))
	_, err = bucket.Stat(t.Context(), "half")
	require.ErrorIs(t, err, blob.ErrNotFound)
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// The test runs itself with a file system of 1 MiB of its own.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	const variable = "DIRECTORY_TEST_FULL"
	if root := os.Getenv(variable); root != "" {
		fullDisk(t, root)
		return
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	command.Env = append(os.Environ(), variable+"="+t.TempDir())
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	output, err := command.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || bytes.Contains(output, []byte(noMount)) {
		t.Skip("this machine does not allow user namespaces, so the test cannot mount a small file system")
	}
	require.NoError(t, err, string(output))
	require.Contains(t, string(output), "--- PASS: TestFullDisk")
}

const noMount = "a file system cannot be mounted"

func fullDisk(t *testing.T, root string) {
	t.Helper()
	require.NoError(t, syscall.Mount("tmpfs", root, "tmpfs", 0, "size=1m"), noMount)
	bucket := open(t, root)
	put(t, bucket, "kept", "kept")
	for _, options := range []blob.PutOptions{{}, {CreateOnce: true}} {
		for _, size := range []int64{2 << 20, blob.UnknownSize} {
			err := bucket.Put(t.Context(), "large", bytes.NewReader(make([]byte, 2<<20)), size, options)
			require.ErrorIs(t, err, blob.ErrFull)
		}
	}
	require.ErrorIs(t, bucket.Put(t.Context(), "kept", bytes.NewReader(make([]byte, 2<<20)), 2<<20, blob.PutOptions{}), blob.ErrFull)
	require.ErrorIs(t, bucket.Check(t.Context()), blob.ErrFull)
	require.Empty(t, files(t, filepath.Join(root, "+incoming")))
	size, err := bucket.Stat(t.Context(), "kept")
	require.NoError(t, err)
	require.EqualValues(t, 4, size)
	put(t, bucket, "small", "there is space again")
}

// TestReserve requires that a blob that exists is known to exist while nothing can be stored.
func TestReserve(t *testing.T) {
	t.Parallel()
	bucket := open(t, t.TempDir())
	put(t, bucket, "kept", "kept")
	bucket.Reserve(math.MaxUint64)
	once := blob.PutOptions{CreateOnce: true}
	require.ErrorIs(t, bucket.Put(t.Context(), "kept", strings.NewReader("kept"), 4, once), blob.ErrExists)
	require.ErrorIs(t, bucket.Put(t.Context(), "new", strings.NewReader("new"), 3, once), blob.ErrFull)
	require.ErrorIs(t, bucket.Put(t.Context(), "kept", strings.NewReader("kept"), 4, blob.PutOptions{}), blob.ErrFull)
}

// TestReserveForCopies requires that copies leave space for what cannot be made again.
func TestReserveForCopies(t *testing.T) {
	t.Parallel()
	bucket := open(t, t.TempDir())
	bucket.ReserveForCopies(math.MaxUint64)
	put(t, bucket, "new", "new")
	require.ErrorIs(t, bucket.Copy(t.Context(), "copy", "new"), blob.ErrFull)
	require.ErrorIs(t, bucket.Copy(t.Context(), "copy", "missing"), blob.ErrNotFound)
	_, err := bucket.Stat(t.Context(), "copy")
	require.ErrorIs(t, err, blob.ErrNotFound)
	bucket.ReserveForCopies(1)
	require.NoError(t, bucket.Copy(t.Context(), "copy", "new"))
}

func TestCheckNoticesALostDirectory(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "blobs")
	bucket := open(t, root)
	require.NoError(t, bucket.Check(t.Context()))
	require.NoError(t, os.RemoveAll(root))
	require.Error(t, bucket.Check(t.Context()))
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, root := range []string{file, filepath.Join(file, "below"), ""} {
		_, err := directory.Open(root)
		require.Error(t, err, root)
	}
}

func TestFailingReaderKeepsItsError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	err := open(t, t.TempDir()).Put(t.Context(), "key", iotest.ErrReader(broken), 5, blob.PutOptions{})
	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, blob.ErrFull)
}

func BenchmarkPut20kB(b *testing.B) {
	for _, existing := range []int{0, 1_000_000} {
		b.Run(fmt.Sprintf("existing=%d", existing), func(b *testing.B) {
			root := b.TempDir()
			for i := range existing {
				require.NoError(b, os.WriteFile(filepath.Join(root, fmt.Sprintf("%036d+%036d.pdf", i, i)), nil, 0o600))
			}
			bucket := open(b, root)
			content := make([]byte, 20_000)
			b.SetBytes(int64(len(content)))
			i := 0
			for b.Loop() {
				i++
				key := fmt.Sprintf("job-%d/result.pdf", i)
				require.NoError(b, bucket.Put(b.Context(), key, bytes.NewReader(content), int64(len(content)), blob.PutOptions{CreateOnce: true}))
			}
		})
	}
}
