package fonts

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// face is a face of the font set.
type face struct {
	family, style string
	*sfnt.Font
}

// readFaces parses all files of the font set.
func readFaces(t *testing.T) []face {
	t.Helper()
	var faces []face
	names, err := fs.Glob(Faces(), "*")
	require.NoError(t, err)
	for _, name := range names {
		content, err := fs.ReadFile(Faces(), name)
		require.NoError(t, err)
		collection, err := sfnt.ParseCollection(content)
		require.NoError(t, err, name)
		for i := range collection.NumFonts() {
			parsed, err := collection.Font(i)
			require.NoError(t, err, name)
			family, err := parsed.Name(nil, sfnt.NameIDFamily)
			require.NoError(t, err)
			style, err := parsed.Name(nil, sfnt.NameIDSubfamily)
			require.NoError(t, err)
			faces = append(faces, face{family, strings.ReplaceAll(style, " ", ""), parsed})
		}
	}
	return faces
}

// TestTable: the table is valid, and names exactly the families of the font set, apart from those of packages.
func TestTable(t *testing.T) {
	t.Parallel()
	families := map[string]bool{}
	for _, face := range readFaces(t) {
		families[face.family] = true
	}
	used := map[string]bool{}
	for _, row := range Substitutes() {
		for _, family := range []string{row.StandIn, row.Word} {
			if strings.HasPrefix(family, "Docmill") {
				require.True(t, families[family], family)
				used[family] = true
			}
		}
	}
	require.Equal(t, families, used)
}

func TestLookup(t *testing.T) {
	t.Parallel()
	for name, standIn := range map[string]string{
		"Calibri": "Docmill Ca", "CALIBRI": "Docmill Ca", "segoe ui": "Docmill Sg", "SegoeUI": "Docmill Sg",
		"맑은 고딕": "Docmill Mg", "ＭＳ ゴシック": "Ume Gothic", "宋体": "Noto Serif CJK SC", "Arial": "Liberation Sans",
	} {
		row, found := Lookup(name)
		require.True(t, found, name)
		require.Equal(t, standIn, row.StandIn)
	}
	malgun, _ := Lookup("Malgun Gothic")
	require.Equal(t, "Malgun Gothic", malgun.Wanted())
	require.Equal(t, "Docmill Mg Word", malgun.Word)
	require.True(t, malgun.Metric)
	_, found := Lookup("Wingdings")
	require.False(t, found)
}

func TestMalformedTables(t *testing.T) {
	t.Parallel()
	for _, table := range []string{
		"metric\tserif\tA\t-\tB\nmetric\tserif\tA\t-\tC|b\n", "metric\tserif\tA\t-\tB|\n", "metric\tserif\tA\t-\n",
		"same\tserif\tA\t-\tB\n", "metric\tfancy\tA\t-\tB\n", "metric\tserif\t\t-\tB\n",
	} {
		_, err := parse(table)
		require.Error(t, err, table)
	}
}

// widthsOf are the files with the widths of the fonts that families stand in for.
var widthsOf = map[string]string{
	"Docmill An": "arial-narrow", "Docmill Ap": "aptos", "Docmill Ap Display": "aptos-display", "Docmill Ca": "calibri",
	"Docmill Ca Light": "calibri-light", "Docmill Cb": "cambria", "Docmill Ge": "georgia", "Docmill Mg": "malgun-gothic",
	"Docmill Mg Word": "malgun-gothic", "Docmill Sg": "segoe-ui", "Docmill Ta": "tahoma", "Docmill Tr": "trebuchet-ms",
	"Docmill Vd": "verdana",
}

// TestWidths: characters are as wide as in the font that a face stands in for.
func TestWidths(t *testing.T) {
	t.Parallel()
	for _, face := range readFaces(t) {
		name, known := widthsOf[face.family]
		if !known {
			continue
		}
		content, err := os.ReadFile(filepath.Join("build", "widths", name+".json"))
		require.NoError(t, err)
		var table struct {
			Faces map[string]map[string]float64 `json:"faces"`
		}
		require.NoError(t, json.NewDecoder(bytes.NewReader(content)).Decode(&table))
		for text, want := range table.Faces[face.style] {
			if got, found := face.advance(t, []rune(text)[0]); found {
				require.InDelta(t, want, got, 1, "%s %s %q", face.family, face.style, text)
			}
		}
	}
}

// advance returns a character's width in thousandths of an em.
func (f face) advance(t *testing.T, char rune) (float64, bool) {
	t.Helper()
	index, err := f.GlyphIndex(nil, char)
	require.NoError(t, err)
	units := int(f.UnitsPerEm())
	width, err := f.GlyphAdvance(nil, index, fixed.I(units), font.HintingNone)
	require.NoError(t, err)
	return float64(width) / 64 / float64(units) * 1000, index != 0
}

// TestCharacters: all faces have the letters of Latin scripts, Greek and Cyrillic, and those for Korean all syllables.
func TestCharacters(t *testing.T) {
	t.Parallel()
	const latin = "AZaz09 .,;:!?()[]{}<>@#$%&*+-=/\\|_~'\"äöüßéèçñ–—‘’“”…•€£¥©®™"
	for _, face := range readFaces(t) {
		text := latin
		switch {
		case strings.HasPrefix(face.family, "Docmill Mg"):
			text += "가힣뷁ㄱㅎ、。「」①→■○★※㈜αΩабвЯ"
		case face.family == "Docmill Cb": // Caladea has neither Greek nor Cyrillic letters
			text += "łśžőığş"
		default:
			text += "łśžőığşαΩабвЯ"
		}
		for _, char := range text {
			_, found := face.advance(t, char)
			require.True(t, found, "%s %s %q", face.family, face.style, char)
		}
	}
}

// TestConsolas: all of its characters have the same width.
func TestConsolas(t *testing.T) {
	t.Parallel()
	faces := slices.DeleteFunc(readFaces(t), func(f face) bool { return f.family != "Docmill Cs" })
	require.Len(t, faces, 4)
	for _, face := range faces {
		for char := ' '; char <= '~'; char++ {
			width, _ := face.advance(t, char)
			require.InDelta(t, 549.8, width, 0.5, "%q", char)
		}
	}
}

// TestWordsLineHeight: Word makes lines of Malgun Gothic 1.3 times as high as its ascent and descent, with half of the addition
// above the text.
func TestWordsLineHeight(t *testing.T) {
	t.Parallel()
	plain, word := map[string]font.Metrics{}, map[string]font.Metrics{}
	for _, face := range readFaces(t) {
		metrics, err := face.Metrics(nil, fixed.I(1000), font.HintingNone)
		require.NoError(t, err)
		switch face.family {
		case "Docmill Mg":
			plain[face.style] = metrics
		case "Docmill Mg Word":
			word[face.style] = metrics
		}
	}
	require.Len(t, word, 2)
	for style, metrics := range word {
		height := plain[style].Ascent + plain[style].Descent
		require.InDelta(t, 1.088, float64(plain[style].Ascent)/64/1000, 0.001)
		require.InDelta(t, 1.3*float64(height), float64(metrics.Ascent+metrics.Descent), 128)
		require.InDelta(t, 0.15*float64(height), float64(metrics.Ascent-plain[style].Ascent), 128)
	}
}
