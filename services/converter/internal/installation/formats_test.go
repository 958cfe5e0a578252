package installation

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
)

// TestFormats looks at the LibreOffice of this machine, which has everything.
func TestFormats(t *testing.T) {
	t.Parallel()
	program, err := Find("", "libsofficeapp.so", "libmergedlo.so")
	require.NoError(t, err)
	formats, err := Formats(program)
	require.NoError(t, err)
	require.Equal(t, slices.Collect(format.All()), formats)
}

// TestFormatsOfAPart leaves out of the registry what comes with a package of the distribution.
func TestFormatsOfAPart(t *testing.T) {
	t.Parallel()
	program, err := Find("", "libsofficeapp.so", "libmergedlo.so")
	require.NoError(t, err)
	for missing, c := range map[string]struct{ without, with []string }{
		"writer":        {[]string{"docx", "odt", "rtf", "txt", "html", "wpd", "pages"}, []string{"xlsx", "pptx", "vsd", "png"}},
		"calc":          {[]string{"xlsx", "ods", "csv", "numbers"}, []string{"docx", "pptx", "vsd", "png"}},
		"impress":       {[]string{"pptx", "ppt", "odp", "key"}, []string{"docx", "xlsx", "vsd", "png"}},
		"draw":          {[]string{"odg", "vsd", "vsdx", "pub"}, []string{"docx", "xlsx", "pptx", "png"}},
		"graphicfilter": {[]string{"png", "jpeg", "svg", "emf"}, []string{"docx", "xlsx", "pptx", "vsd"}},
	} {
		t.Run(missing, func(t *testing.T) {
			t.Parallel()
			formats, err := Formats(registryWithout(t, filepath.Dir(program), missing))
			require.NoError(t, err)
			var ids []string
			for _, f := range formats {
				ids = append(ids, f.ID)
			}
			require.Subset(t, ids, c.with)
			for _, id := range c.without {
				require.NotContains(t, ids, id)
			}
		})
	}
}

// registryWithout gives a folder "program" beside a registry that lacks a file.
func registryWithout(t *testing.T, office, missing string) string {
	t.Helper()
	own := t.TempDir()
	registry := filepath.Join(own, "share", "registry")
	require.NoError(t, os.MkdirAll(registry, 0o700))
	files, err := filepath.Glob(filepath.Join(office, "share", "registry", "*.xcd"))
	require.NoError(t, err)
	left := 0
	for _, file := range files {
		if filepath.Base(file) != missing+".xcd" {
			require.NoError(t, os.Symlink(file, filepath.Join(registry, filepath.Base(file))))
			left++
		}
	}
	require.Equal(t, len(files)-1, left)
	return filepath.Join(own, "program")
}

func TestFormatsWithoutAList(t *testing.T) {
	t.Parallel()
	_, err := Formats(filepath.Join(t.TempDir(), "program"))
	require.ErrorIs(t, err, ErrNoFilters)

	own := t.TempDir()
	registry := filepath.Join(own, "share", "registry")
	require.NoError(t, os.MkdirAll(registry, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(registry, "main.xcd"), []byte("<oor:data"), 0o600))
	_, err = Formats(filepath.Join(own, "program"))
	require.ErrorContains(t, err, "main.xcd")
}

func BenchmarkFormats(b *testing.B) {
	program, err := Find("", "libsofficeapp.so", "libmergedlo.so")
	require.NoError(b, err)
	for b.Loop() {
		if _, err := Formats(program); err != nil {
			b.Fatal(err)
		}
	}
}
