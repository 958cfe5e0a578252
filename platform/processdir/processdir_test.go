package processdir_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/platform/processdir"
)

// rootIn returns where the processes' directories of a work directory are.
func rootIn(dir string) string {
	return filepath.Join(dir, fmt.Sprintf("docmill-converter-%d", os.Geteuid()))
}

func open(t *testing.T, root string) *processdir.Dir {
	t.Helper()
	opened, err := processdir.Open(root, "converter")
	require.NoError(t, err)
	t.Cleanup(func() { _ = opened.Close() })
	return opened
}

func TestOnlyAbandonedDirectoriesAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := rootIn(dir)
	living := open(t, dir)
	job, err := living.Make()
	require.NoError(t, err)

	dead := filepath.Join(root, "converter-dead")
	require.NoError(t, os.MkdirAll(filepath.Join(dead, "job-1"), 0o700))
	foreign := filepath.Join(root, "somebody-else")
	require.NoError(t, os.Mkdir(foreign, 0o700))

	other := open(t, dir)
	require.NotEqual(t, living.Path(), other.Path())
	require.NoDirExists(t, dead)
	require.DirExists(t, job)
	require.DirExists(t, foreign)

	require.NoError(t, other.Close())
	require.NoDirExists(t, other.Path())
	require.DirExists(t, job)
}

// TestDirectoryOfAKilledProcessIsRemoved uses flock(1) as the process, which does not clean up.
func TestDirectoryOfAKilledProcessIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	left := filepath.Join(rootIn(dir), "converter-killed")
	require.NoError(t, os.MkdirAll(left, 0o700))
	lock := filepath.Join(left, "lock")
	holder := exec.Command("flock", lock, "sh", "-c", "echo locked; read never")
	hold, err := holder.StdinPipe()
	require.NoError(t, err)
	out, err := holder.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, holder.Start())
	_, err = out.Read(make([]byte, 16))
	require.NoError(t, err)

	open(t, dir)
	require.DirExists(t, left, "its process is alive")
	require.NoError(t, hold.Close())
	_ = holder.Wait()
	open(t, dir)
	require.NoDirExists(t, left)
}

func TestDirectoryWritableByOthersIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(rootIn(dir), 0o700))
	require.NoError(t, os.Chmod(rootIn(dir), 0o777))
	_, err := processdir.Open(dir, "converter")
	require.ErrorContains(t, err, "use another directory")

	dir = t.TempDir()
	require.NoError(t, os.Symlink(t.TempDir(), rootIn(dir)))
	_, err = processdir.Open(dir, "converter")
	require.ErrorContains(t, err, "another directory")
}

func TestUnreadableLeftoversAreRemovedOrReported(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	left := filepath.Join(rootIn(dir), "converter-killed")
	unreadable := filepath.Join(left, "job", "unreadable")
	require.NoError(t, os.MkdirAll(filepath.Join(unreadable, "full"), 0o700))
	require.NoError(t, os.Chmod(unreadable, 0o300))
	require.NoError(t, open(t, dir).Leftovers())
	require.NoDirExists(t, left)

	blocked := filepath.Join(rootIn(dir), "converter-blocked", "lock") // a directory cannot be locked for writing
	require.NoError(t, os.MkdirAll(blocked, 0o700))
	require.ErrorContains(t, open(t, dir).Leftovers(), "converter-blocked")
}
