package libreoffice

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
)

// TestInstalledFormats checks the LibreOffice of this machine, which is complete.
func TestInstalledFormats(t *testing.T) {
	t.Parallel()
	program, err := findProgram("")
	require.NoError(t, err)
	formats, err := installedFormats(program)
	require.NoError(t, err)
	require.Equal(t, slices.Collect(format.All()), formats)
}

// TestInstalledFormatsOfAnIncompleteInstallation removes from the registry what belongs to one of the distribution's
// packages.
func TestInstalledFormatsOfAnIncompleteInstallation(t *testing.T) {
	t.Parallel()
	program, err := findProgram("")
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
			formats, err := installedFormats(registryWithout(t, filepath.Dir(program), missing))
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

// registryWithout returns a directory "program" beside a registry that lacks a file.
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

func TestInstalledFormatsWithoutAList(t *testing.T) {
	t.Parallel()
	_, err := installedFormats(filepath.Join(t.TempDir(), "program"))
	require.ErrorIs(t, err, errNoFilters)

	own := t.TempDir()
	registry := filepath.Join(own, "share", "registry")
	require.NoError(t, os.MkdirAll(registry, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(registry, "main.xcd"), []byte("<oor:data"), 0o600))
	_, err = installedFormats(filepath.Join(own, "program"))
	require.ErrorContains(t, err, "main.xcd")
}

func BenchmarkInstalledFormats(b *testing.B) {
	program, err := findProgram("")
	require.NoError(b, err)
	for b.Loop() {
		if _, err := installedFormats(program); err != nil {
			b.Fatal(err)
		}
	}
}
