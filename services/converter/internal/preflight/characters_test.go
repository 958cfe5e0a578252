package preflight_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCharacters(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		content []byte
		format  string
		want    string
	}{
		"a text, each once": {packed(t, "[Content_Types].xml", "<Types/>", "word/document.xml",
			"<w:t name='名'>Text: 가나, 나가 &#xD55C;&amp;</w:t><w:delText>刪</w:delText><w:t>é</w:t><w:instrText>碼</w:instrText>",
			"word/styles.xml", "<s>樣</s>", "word/footer1.xml", "<t>–</t>", "word/comments.xml", "<t>評</t>"), "docx", "é–가나한"},
		"slides": {packed(t, "[Content_Types].xml", "<Types/>", "ppt/slides/slide1.xml", "<t>α</t>",
			"ppt/slideLayouts/slideLayout1.xml", "<t>β</t>", "ppt/charts/chart1.xml", "<t>γ</t>"), "pptx", "αγ"},
		"a workbook":                       {packed(t, "[Content_Types].xml", "<Types/>", "xl/sharedStrings.xml", "<t>表</t>"), "xlsx", "表"},
		"an OpenDocument":                  {packed(t, "content.xml", "<p>書</p>", "styles.xml", "<p>式</p>"), "odt", "書"},
		"an encrypted OpenDocument":        {packed(t, "content.xml", "\x91é<é>é"), "odt", ""},
		"a flat OpenDocument":              {[]byte("<?xml version='1.0'?><p>平</p>"), "fodt", "平"},
		"a page":                           {[]byte("<html><p title='題'>頁&hellip;</p>"), "html", "…頁"},
		"a rich text":                      {[]byte(`{\rtf1 \u44032?\u-21504?\u-10179?\u-8704?\uc1 \ul x}`), "rtf", "가😀"},
		"a plain text":                     {[]byte("<文> grüß"), "txt", "ßü文"},
		"a plain text in Windows-1252":     {[]byte("gr\xfc\xdf"), "txt", ""},
		"what is not drawn by itself":      {[]byte("a\u0301\u200d\u00a0\u3000\ue000\ufe0f\u115f\ufeff\u0085"), "txt", ""},
		"characters at the ends of blocks": {[]byte("\u00bf\u00c0\u00ff\u0100"), "txt", "¿ÀÿĀ"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, string(look(t, c.content, c.format).Characters))
		})
	}
	encrypted, err := os.ReadFile(testdata + "unoserver__simple.encrypted.odt")
	require.NoError(t, err)
	require.Empty(t, look(t, encrypted, "odt").Characters)
	// A character at the limit of what is read may be cut.
	require.Equal(t, "é", string(look(t, []byte(strings.Repeat("é", 9<<20)), "txt").Characters))
}
