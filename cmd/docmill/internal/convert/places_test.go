package convert

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlacesStayInTheirDirectory(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"a.docx": "out/a", ".docx": "out/.docx", "..docx": "out/..docx", "...docx": "out/...docx", "a": "out/a", "a.b.docx": "out/a.b",
	} {
		documents := []document{{path: "in/" + name, name: name}}
		require.NoError(t, newPlaces("out").plan(documents))
		require.Equal(t, want, documents[0].stem)
	}
}

func TestSamePlaceIsNoticedHoweverItIsSpelled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "in"), 0o700))
	require.NoError(t, os.Symlink("in", filepath.Join(dir, "link")))
	documents := []document{
		{path: filepath.Join(dir, "in", "a.docx"), name: "a.docx"},
		{path: filepath.Join(dir, "link", "a.odt"), name: "a.odt"},
	}
	require.NoError(t, newPlaces("").plan(documents))
	require.Equal(t, filepath.Join(dir, "in", "a.docx"), documents[0].stem)
	require.Equal(t, filepath.Join(dir, "link", "a.odt"), documents[1].stem)
	require.Equal(t, keyOf(filepath.Join(dir, "in/new/a")), keyOf(filepath.Join(dir, "link/./new/a")), "new does not exist")
}

func TestPlacesOfLateDocumentsDoNotDependOnTheirOrder(t *testing.T) {
	t.Parallel()
	for _, order := range [][]string{{"a.docx", "a.odt"}, {"a.odt", "a.docx"}} {
		p := newPlaces("out")
		for _, name := range order {
			d := document{path: name, name: name}
			require.NoError(t, p.add(&d, true))
			require.Equal(t, "out/"+name, d.stem)
		}
	}
	p := newPlaces("out")
	first, second := document{path: "a.docx", name: "a.docx"}, document{path: "a.odt", name: "a.odt"}
	require.NoError(t, p.add(&first, false))
	require.Equal(t, "out/a", first.stem)
	require.NoError(t, p.add(&second, true))
	require.Equal(t, "out/a.odt", second.stem)
	require.NoError(t, p.add(&first, true))
	require.Equal(t, "out/a", first.stem, "it keeps its place")
}

func TestLinksAreNotSearched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, outside := filepath.Join(dir, "in"), filepath.Join(dir, "outside")
	for _, path := range []string{in, outside} {
		require.NoError(t, os.Mkdir(path, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(path, "a.txt"), []byte("text"), 0o600))
	}
	require.NoError(t, os.Symlink(filepath.Join(outside, "a.txt"), filepath.Join(in, "link.txt")))
	require.NoError(t, os.Symlink(outside, filepath.Join(in, "directory")))
	require.NoError(t, os.Symlink(in, filepath.Join(dir, "root")))
	s := search{target: "pdf"}
	found, err := s.expand([]string{filepath.Join(dir, "root")}, "")
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, filepath.Join(dir, "root", "a.txt"), found[0].path)

	swapped := found[0]
	require.NoError(t, os.Remove(swapped.path))
	require.NoError(t, os.Symlink(filepath.Join(outside, "a.txt"), swapped.path))
	_, _, err = new(runner).source(t.Context(), swapped)
	require.Error(t, err)
	named, _, err := new(runner).source(t.Context(), document{path: swapped.path})
	require.NoError(t, err, "an argument may be a link")
	require.NoError(t, named.Close())
}
