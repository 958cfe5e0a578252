package libreoffice

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/converter/internal/fonts"
	"github.com/docmill/docmill/services/converter/internal/fonts/fontstest"
)

// TestEastAsianFonts: Korean, Japanese and Chinese text is drawn, with the stand-ins of the fonts that a document names or with
// those of its script. Characters that no font has would be drawn with the missing glyph of a Latin one.
func TestEastAsianFonts(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for font, c := range map[string]struct{ text, family string }{
		"맑은 고딕":     {"회의록 작성 뷁", "DocmillMg"},
		"Batang":    {"회의록 작성", "UnBatang"},
		"ＭＳ 明朝":     {"議事録の作成", "Ume-Mincho"},
		"MS Gothic": {"議事録の作成", "Ume-Gothic"},
		"宋体":        {"会议记录", "NotoSerifCJK"},
		"Unknown":   {"회의록議事録の会议记录", "NotoSansCJK"},
	} {
		t.Run(font, func(t *testing.T) {
			t.Parallel()
			run := fmt.Sprintf(`</w:t></w:r><w:r><w:rPr><w:rFonts w:ascii="%[1]s" w:hAnsi="%[1]s" w:eastAsia="%[1]s"/></w:rPr><w:t>%[2]s`, font, c.text)
			output, err := e.Convert(t.Context(), requestFor(t, warmUpDocument(t, "text.docx", "word/document.xml", run), "docx"))
			require.NoError(t, err)
			requireFont(t, e, output.Path, c.family)
			require.Contains(t, pdfText(t, output.Path), strings.Fields(c.text)[0])

			slide := warmUpDocument(t, "deck.pptx", "ppt/slides/slide1.xml", c.text)
			slide = rewritten(t, slide, "ppt/slides/slide1.xml", `<a:latin typeface="Arial"/>`, fmt.Sprintf(`<a:latin typeface="%[1]s"/><a:ea typeface="%[1]s"/>`, font))
			output, err = e.Convert(t.Context(), requestFor(t, slide, "pptx"))
			require.NoError(t, err)
			requireFont(t, e, output.Path, c.family)
		})
	}
}

// TestOwnFonts: the confined child reads fonts of the user's, and uses them in place of stand-ins.
func TestOwnFonts(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	fontstest.WriteRenamed(t, directory, "Calibri")
	e, err := runWith(defaults(), fonts.Config{Directories: []string{directory}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.stop()) })

	run := `</w:t></w:r><w:r><w:rPr><w:rFonts w:ascii="Calibri" w:hAnsi="Calibri"/><w:b w:val="0"/></w:rPr><w:t>Own`
	output, err := e.Convert(t.Context(), requestFor(t, warmUpDocument(t, "text.docx", "word/document.xml", run), "docx"))
	require.NoError(t, err)
	requireFont(t, e.Engine, output.Path, "Calibri")
}

// requireFont requires that a PDF has a font of a family, whose PostScript name begins with this.
func requireFont(t *testing.T, e *Engine, path, family string) {
	t.Helper()
	names, err := e.pdf.Fonts(t.Context(), path)
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, family) }), "%s in %v", family, names)
}
