package fonts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	fontset "github.com/docmill/docmill/fonts"
	"github.com/docmill/docmill/services/converter/internal/fonts"
	"github.com/docmill/docmill/services/converter/internal/fonts/fontstest"
)

// open installs fonts with these settings.
func open(t *testing.T, config fonts.Config, office ...string) *fonts.Library {
	t.Helper()
	directory := t.TempDir()
	set, err := fonts.Install(directory, config, office...)
	require.NoError(t, err)
	library, err := fonts.Open(directory, set, zaptest.NewLogger(t))
	require.NoError(t, err)
	return library
}

func TestInstalledFonts(t *testing.T) {
	t.Parallel()
	library := open(t, fonts.Config{})
	for _, there := range []string{"Liberation Sans", "liberation  SANS", "LiberationSans", "DejaVu Sans", "Docmill Ca", "Noto Sans CJK JP"} {
		require.True(t, library.Has(t.Context(), there), there)
	}
	for _, missing := range []string{"", "No Such Font", "Liberation", "Liberation Sans:bold"} {
		require.False(t, library.Has(t.Context(), missing), missing)
	}
	require.Equal(t, "Liberation Sans", library.Family("LiberationSans-Bold"))
	require.Equal(t, "Docmill Ca Light", library.Family("DocmillCaLight-Regular"))
	require.Equal(t, "Docmill Mg", library.Family("DocmillMgWord-Bold"))
	require.Equal(t, "MyOwn", library.Family("MyOwn-BoldItalic"))
}

// TestStandIns: fontconfig chooses what the table says, for all names of all fonts.
func TestStandIns(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{fonts.Bundled, fonts.BundledAndSystem} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			library := open(t, fonts.Config{Mode: mode})
			for _, row := range fontset.Substitutes() {
				for _, name := range row.Names {
					if !library.Has(t.Context(), name) {
						require.Equal(t, row.StandIn, library.Substitute(t.Context(), name), name)
					}
				}
			}
		})
	}
}

// TestUnknownFonts: a font that nobody knows is replaced by one with the widths of Arial, Times New Roman or Courier New.
func TestUnknownFonts(t *testing.T) {
	t.Parallel()
	library := open(t, fonts.Config{})
	for range 2 { // the second time from memory
		require.Equal(t, "Liberation Sans", library.LastResort(t.Context()))
		require.Equal(t, "Liberation Serif", library.Substitute(t.Context(), "No Such Serif"))
		require.Equal(t, "Liberation Sans", library.Substitute(t.Context(), "No Such Sans Serif"))
		require.Equal(t, "Liberation Mono", library.Substitute(t.Context(), "No Such Mono"))
		require.Equal(t, "Liberation Sans", library.Substitute(t.Context(), "Monodon"))
		require.Equal(t, "OpenSymbol", library.Substitute(t.Context(), "Wingdings"))
	}
	// Names with a special meaning to fontconfig are only names.
	for _, odd := range []string{"x:lang=ja", "--help", "-1", `a\b`, "a,Carlito", "\x00", strings.Repeat("x", 1000), ""} {
		require.Contains(t, []string{"Liberation Sans", ""}, library.Substitute(t.Context(), odd), odd)
	}
}

// TestWordRules: with the additional file, fontconfig chooses the copies for documents of Word.
func TestWordRules(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	set, err := fonts.Install(directory, fonts.Config{})
	require.NoError(t, err)
	main, found := strings.CutPrefix(set.Environment()[0], "FONTCONFIG_FILE=")
	require.True(t, found)
	both := filepath.Join(directory, "both.conf")
	require.NoError(t, os.WriteFile(both, []byte("<fontconfig><include>"+main+"</include><include>"+set.WordFile()+"</include></fontconfig>"), 0o600))
	for name, want := range map[string]string{"Malgun Gothic": "Docmill Mg Word", "맑은 고딕": "Docmill Mg Word", "Calibri": "Docmill Ca"} {
		command := exec.CommandContext(t.Context(), "fc-match", "--format", "%{family[0]}", name)
		command.Env = []string{"FONTCONFIG_FILE=" + both}
		family, err := command.Output()
		require.NoError(t, err)
		require.Equal(t, want, string(family), name)
	}
}

func TestSameMetrics(t *testing.T) {
	t.Parallel()
	require.True(t, fonts.SameMetrics("Calibri", "Docmill Ca"))
	require.True(t, fonts.SameMetrics("맑은 고딕", "Docmill Mg"))
	require.True(t, fonts.SameMetrics("Calibri", "Carlito"), "without the font set")
	require.True(t, fonts.SameMetrics("Arial", "Arimo"), "without the font set")
	require.False(t, fonts.SameMetrics("Cambria", "Caladea"), "Debian's version of it")
	require.False(t, fonts.SameMetrics("Calibri", "Liberation Sans"))
	require.False(t, fonts.SameMetrics("Aptos Narrow", "Docmill Ca"), "similar")
	require.False(t, fonts.SameMetrics("No Such Font", ""))
}

// TestModes: the fonts of packages that the font set does not need make no difference, unless the user wants them.
func TestModes(t *testing.T) {
	t.Parallel()
	const packaged = "DejaVu Sans Condensed" // of fonts-dejavu-extra
	bundled := open(t, fonts.Config{Mode: fonts.Bundled})
	require.False(t, bundled.Has(t.Context(), packaged))
	require.False(t, bundled.Has(t.Context(), "Carlito"), "LibreOffice would prefer it")
	both := open(t, fonts.Config{Mode: fonts.BundledAndSystem})
	require.True(t, both.Has(t.Context(), packaged))
	require.False(t, both.Has(t.Context(), "Carlito"))
	require.False(t, both.Has(t.Context(), "Caladea"))
	system := open(t, fonts.Config{Mode: fonts.System})
	require.True(t, system.Has(t.Context(), packaged))
	require.False(t, system.Has(t.Context(), "Docmill Ca"))
	require.Equal(t, "Carlito", system.Substitute(t.Context(), "Calibri"))
	set, err := fonts.Install(t.TempDir(), fonts.Config{Mode: fonts.System})
	require.NoError(t, err)
	require.Empty(t, set.WordFile())
}

// TestOwnFontsWin: a font of the user's is used in place of its stand-in.
func TestOwnFontsWin(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{fonts.Bundled, fonts.BundledAndSystem, fonts.System} {
		own := filepath.Join(t.TempDir(), "its <own> & fonts")
		require.NoError(t, os.Mkdir(own, 0o700))
		fontstest.WriteRenamed(t, own, "Calibri")
		config := fonts.Config{Mode: mode, Directories: []string{own}}
		library := open(t, config)
		require.True(t, library.Has(t.Context(), "Calibri"), mode)
		require.Equal(t, "Calibri", library.Substitute(t.Context(), "Calibri"), mode)
		set, err := fonts.Install(t.TempDir(), config)
		require.NoError(t, err)
		require.Contains(t, set.Readable(), own)
	}
}

// TestDirectoriesMustBeReadable: settings that cannot work stop the start.
func TestDirectoriesMustBeReadable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, fonts.Config{Mode: fonts.Bundled, Directories: []string{t.TempDir()}}.Validate())
	for _, config := range []fonts.Config{
		{Directories: []string{file}}, {Directories: []string{"/does/not/exist"}}, {Directories: []string{"/"}}, {Directories: []string{"/usr/../etc"}}, {Mode: "all"},
	} {
		require.ErrorContains(t, config.Validate(), "setting font")
	}
	require.NoError(t, fonts.Config{Directories: []string{""}}.Validate(), "an empty environment variable")
	around := t.TempDir()
	_, err := fonts.Install(filepath.Join(around, "work"), fonts.Config{Directories: []string{around}})
	require.ErrorContains(t, err, "contains the working directory")
}

// TestLinksMustBeReadable: LibreOffice's sandbox reads only the directories that are set.
func TestLinksMustBeReadable(t *testing.T) {
	t.Parallel()
	own, other := t.TempDir(), t.TempDir()
	fontstest.WriteRenamed(t, own, "Calibri")
	fontstest.WriteRenamed(t, other, "Cambria")
	below := filepath.Join(own, "below")
	require.NoError(t, os.Mkdir(below, 0o700))
	link := func(name, target string) { require.NoError(t, os.Symlink(target, filepath.Join(below, name))) }
	link("inside.ttf", "../Calibri.ttf")
	link("nowhere.ttf", "/does/not/exist")
	link("system", "/usr/share/fonts")
	require.NoError(t, fonts.Config{Directories: []string{own}}.Validate())
	link("outside.ttf", filepath.Join(other, "Cambria.ttf"))
	require.ErrorContains(t, fonts.Config{Directories: []string{own}}.Validate(), "outside.ttf leads to a file")
	require.NoError(t, fonts.Config{Directories: []string{own, other}}.Validate())
}

// TestLibreOfficesOwnFonts checks the fonts that come with LibreOffice, which fontconfig does not find by itself.
func TestLibreOfficesOwnFonts(t *testing.T) {
	t.Parallel()
	own := t.TempDir()
	fontstest.WriteRenamed(t, own, "Karlito")
	for mode, want := range map[string]bool{fonts.Bundled: false, fonts.BundledAndSystem: true, fonts.System: true} {
		library := open(t, fonts.Config{Mode: mode}, own, "/does/not/exist")
		require.Equal(t, want, library.Has(t.Context(), "Karlito"), mode)
		require.True(t, library.Has(t.Context(), "Liberation Sans"), "the system's, too")
	}
}

// TestHeights: the heights are those with which LibreOffice lays out lines.
func TestHeights(t *testing.T) {
	t.Parallel()
	library := open(t, fonts.Config{})
	for name, want := range map[string]fonts.Heights{
		"LiberationSans-Bold": {905, -211}, "DejaVuSans": {928, -235}, "NotoSansCJKjp-Regular": {1160, -288},
		// LibreOffice 7.4 calls it so.
		"NotoSansCJKjp-Regular-VKana": {1160, -288},
		// Both are in one file.
		"DocmillMg-Regular": {1088, -242}, "DocmillMgWord-Regular": {1288, -442},
	} {
		heights, known := library.Heights(t.Context(), name)
		require.True(t, known, name)
		require.Equal(t, want, heights, name)
	}
	for _, unknown := range []string{"", "-", "NoSuchFont-Bold", "Liberation"} {
		_, known := library.Heights(t.Context(), unknown)
		require.False(t, known, unknown)
	}
	require.Equal(t, "Noto Sans CJK JP", library.Family("NotoSansCJKjp-Regular-VKana"))
}
