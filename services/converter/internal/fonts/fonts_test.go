package fonts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/docmill/docmill/services/converter/internal/fonts"
)

func TestInstalledFonts(t *testing.T) {
	t.Parallel()
	library, err := fonts.Open(t.TempDir(), zaptest.NewLogger(t))
	require.NoError(t, err)
	for _, there := range []string{"Liberation Sans", "liberation  SANS", "LiberationSans", "DejaVu Sans"} {
		require.True(t, library.Has(t.Context(), there), there)
	}
	for _, missing := range []string{"", "No Such Font", "Liberation", "Liberation Sans:bold"} {
		require.False(t, library.Has(t.Context(), missing), missing)
	}
	require.Equal(t, "Liberation Sans", library.Family("LiberationSans-Bold"))
	require.Equal(t, "MyOwn", library.Family("MyOwn-BoldItalic"))
}

func TestSubstitutes(t *testing.T) {
	t.Parallel()
	library, err := fonts.Open(t.TempDir(), zaptest.NewLogger(t))
	require.NoError(t, err)
	for range 2 { // the second time from memory
		require.Equal(t, "Liberation Sans", library.Substitute(t.Context(), "Arial"))
		require.Equal(t, "Carlito", library.Substitute(t.Context(), "Calibri"))
		require.Equal(t, "OpenSymbol", library.Substitute(t.Context(), "Wingdings"))
	}
	// Names with a special meaning to fontconfig are only names.
	plain := library.Substitute(t.Context(), "No Such Font")
	require.NotEmpty(t, plain)
	for _, odd := range []string{"x:lang=ja", "--help", "-1", `a\b`, "a,Carlito", "\x00", strings.Repeat("x", 1000), ""} {
		require.Contains(t, []string{plain, ""}, library.Substitute(t.Context(), odd), odd)
	}
}

// TestLibreOfficesOwnFonts checks the fonts that come with LibreOffice, which fontconfig does not find by itself.
func TestLibreOfficesOwnFonts(t *testing.T) {
	t.Parallel()
	found, err := filepath.Glob("/usr/share/fonts/truetype/*/Carlito-Regular.ttf")
	require.NoError(t, err)
	require.NotEmpty(t, found, "install fonts-crosextra-carlito")
	content, err := os.ReadFile(found[0])
	require.NoError(t, err)
	own := filepath.Join(t.TempDir(), "its <own> & fonts")
	require.NoError(t, os.Mkdir(own, 0o700))
	// The same font with another name of the same length, in the encodings of both platforms.
	renamed := strings.ReplaceAll(string(content), "Carlito", "Karlito")
	wide := func(s string) string { return "\x00" + strings.Join(strings.Split(s, ""), "\x00") }
	renamed = strings.ReplaceAll(renamed, wide("Carlito"), wide("Karlito"))
	require.NoError(t, os.WriteFile(filepath.Join(own, "k.ttf"), []byte(renamed), 0o600))

	library, err := fonts.Open(t.TempDir(), zaptest.NewLogger(t), own, "/does/not/exist")
	require.NoError(t, err)
	require.True(t, library.Has(t.Context(), "Karlito"))
	require.True(t, library.Has(t.Context(), "Liberation Sans"), "the system's, too")
}
