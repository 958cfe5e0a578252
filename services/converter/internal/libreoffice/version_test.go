package libreoffice

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestVersions copies as much of the installation as is needed to find it, with another version in bootstraprc.
func TestVersions(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]struct {
		usable  bool
		advised bool
	}{
		"LibreOffice 6.4":           {},
		"LibreOffice 7.3":           {},
		"LibreOffice 7.4":           {usable: true, advised: true},
		"LibreOffice 7.10":          {usable: true, advised: true},
		"LibreOffice 24.8":          {usable: true, advised: true},
		"LibreOffice 25.2":          {usable: true},
		"LibreOffice 26.2":          {usable: true},
		"LibreOffice 26.8":          {},
		"LibreOffice 27.2":          {},
		"Collabora Office 40.1":     {usable: true}, // the canary decides
		"no version in this line 1": {usable: true},
	} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			program := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(program, "bootstraprc"), []byte("[Bootstrap]\nInstallMode=<installmode>\nProductKey="+key+"\n"), 0o600))
			err := checkInstallation(program)
			if want.usable {
				require.NoError(t, err)
				require.Equal(t, want.advised, (&Engine{program: program}).Advice() != "")
			} else {
				require.ErrorIs(t, err, errVersion)
				require.ErrorContains(t, err, key)
			}
		})
	}
	require.NoError(t, checkInstallation(t.TempDir()), "no such file")
}

// TestInstalledVersion compares the version that is read before the start with the one that LibreOffice reports.
func TestInstalledVersion(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	installed, err := installedVersion(e.program)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(e.Version(), "LibreOffice "+installed.String()+"."), "%s, %s", e.Version(), installed)
}

// TestUnusableVersionIsNotStarted starts an Engine for an installation that is a link to the real one, except for its
// version.
func TestUnusableVersionIsNotStarted(t *testing.T) {
	t.Parallel()
	installed, err := findProgram("")
	require.NoError(t, err)
	program := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.Mkdir(program, 0o700))
	entries, err := os.ReadDir(installed)
	require.NoError(t, err)
	for _, entry := range entries {
		if entry.Name() != "bootstraprc" && entry.Name() != "soffice" {
			require.NoError(t, os.Symlink(filepath.Join(installed, entry.Name()), filepath.Join(program, entry.Name())))
		}
	}
	for name, content := range map[string]string{"soffice": "", "bootstraprc": "ProductKey=LibreOffice 26.8\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(program, name), []byte(content), 0o600))
	}
	config := defaults()
	config.Program = filepath.Join(program, "soffice")
	_, err = run(config)
	require.ErrorIs(t, err, errVersion)
	require.ErrorContains(t, err, "25.2")
}
