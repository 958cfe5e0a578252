package pdf

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const officeFile = "testdata/libreoffice-7.4.pdf"

// TestCorrectHeights: the file stays valid, and has the heights.
func TestCorrectHeights(t *testing.T) {
	t.Parallel()
	before, err := os.ReadFile(officeFile)
	require.NoError(t, err)
	path := write(t, before)
	asked := map[string]bool{}
	heights := func(name string) (int, int, bool) {
		asked[name] = true
		return 952, -269, true
	}
	require.NoError(t, CorrectHeights(path, heights))
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, after, len(before))
	tools, err := FindTools()
	require.NoError(t, err)
	names, err := tools.Fonts(t.Context(), path)
	require.NoError(t, err)
	require.Len(t, asked, len(names))
	require.Equal(t, len(names), strings.Count(string(after), "/Ascent 952/Descent -269"))
	require.NotContains(t, string(after), "/Ascent 0")
	output, err := exec.Command("qpdf", "--check", path).CombinedOutput()
	require.NoError(t, err, string(output))

	require.NoError(t, CorrectHeights(path, func(string) (int, int, bool) { panic("nothing is left to correct") }))
}

// TestHeightsThatStay: what cannot be corrected is not changed.
func TestHeightsThatStay(t *testing.T) {
	t.Parallel()
	office, err := os.ReadFile(officeFile)
	require.NoError(t, err)
	known := func(string) (int, int, bool) { return 1, -1, true }
	for name, c := range map[string]struct {
		content []byte
		heights func(string) (int, int, bool)
	}{
		"unknown fonts":   {office, func(string) (int, int, bool) { return 1, -1, false }},
		"too long":        {office, func(string) (int, int, bool) { return 1234567890, -1234567890, true }},
		"no descriptions": {small(), known},
		"others":          {bytes.ReplaceAll(office, []byte("/Descent 0"), []byte("/Descent 1")), known},
		"no font":         {[]byte("%PDF-1.6\n%%EOF"), known},
		"misleading":      {bytes.ReplaceAll(office, []byte("/FontName/"), []byte("/FontNemo/")), known},
	} {
		path := write(t, c.content)
		require.NoError(t, CorrectHeights(path, c.heights), name)
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, c.content, after, name)
	}
	// A link is not followed: what LibreOffice's sandbox has written may be one.
	target, link := write(t, office), filepath.Join(t.TempDir(), "link.pdf")
	require.NoError(t, os.Symlink(target, link))
	require.Error(t, CorrectHeights(link, known))
	after, err := os.ReadFile(target)
	require.NoError(t, err)
	require.Equal(t, office, after)
}
