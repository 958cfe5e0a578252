package build_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/docmill/docmill/services/converter/internal/build"
)

func write(t testing.TB, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

// TestEverythingCounts changes one thing after the other, and requires a new build for each.
func TestEverythingCounts(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	fonts, office := filepath.Join(directory, "fonts"), filepath.Join(directory, "office")
	write(t, filepath.Join(fonts, "deep", "a.ttf"), "a")
	write(t, filepath.Join(office, "registry", "x.xcd"), "x")
	write(t, filepath.Join(directory, "program"), "p")
	require.NoError(t, os.Symlink(office, filepath.Join(directory, "link")))
	require.NoError(t, os.Symlink(directory, filepath.Join(office, "loop")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(fonts, "dangling")))
	type settings struct{ Pages int }
	parts := build.Parts{
		Executable: "/proc/self/exe", Settings: settings{1},
		Paths: []string{fonts, filepath.Join(directory, "link"), filepath.Join(directory, "program"), filepath.Join(directory, "missing")},
	}
	digest := func() string {
		digest := build.New(parts, zaptest.NewLogger(t)).Digest()
		require.Len(t, digest, 32)
		return string(digest)
	}
	seen := []string{digest()}
	require.Equal(t, seen[0], digest())
	for name, change := range map[string]func(){
		"setting":    func() { parts.Settings = settings{2} },
		"new font":   func() { write(t, filepath.Join(fonts, "b.ttf"), "a") },
		"other size": func() { write(t, filepath.Join(office, "registry", "x.xcd"), "xx") },
		"other time": func() {
			require.NoError(t, os.Chtimes(filepath.Join(directory, "program"), time.Time{}, time.Unix(1, 0)))
		},
		"lost font":   func() { require.NoError(t, os.Remove(filepath.Join(fonts, "deep", "a.ttf"))) },
		"new program": func() { write(t, filepath.Join(directory, "missing"), "m") },
	} {
		change()
		require.NotContains(t, seen, digest(), name)
		seen = append(seen, digest())
	}
}

// TestChangeWhileRunning: a result that was made during an upgrade of LibreOffice may be that of either.
func TestChangeWhileRunning(t *testing.T) {
	t.Parallel()
	font := filepath.Join(t.TempDir(), "a.ttf")
	write(t, font, "a")
	synctest.Test(t, func(t *testing.T) { // the files are real, and the time is not
		b := build.New(build.Parts{Executable: "/proc/self/exe", Paths: []string{font}}, zaptest.NewLogger(t))
		require.NotNil(t, b.Check())
		write(t, font, "ab")
		require.NotNil(t, b.Check(), "it has just looked")
		time.Sleep(2 * time.Second)
		require.Nil(t, b.Check())
		require.Nil(t, b.Digest())
		require.NoError(t, os.Remove(font))
		write(t, font, "a")
		time.Sleep(2 * time.Second)
		require.Nil(t, b.Check(), "a process may still use the other one")
	})
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	require.Nil(t, build.New(build.Parts{Executable: "/dev/null"}, zaptest.NewLogger(t)).Digest())
	var none *build.Build
	none.Check()
	require.Nil(t, none.Digest())
}

func BenchmarkNew(b *testing.B) {
	parts := build.Parts{Executable: "/proc/self/exe", Paths: []string{"/usr/lib/libreoffice", "/usr/share/fonts"}}
	for b.Loop() {
		require.NotNil(b, build.New(parts, zap.NewNop()).Digest())
	}
}
