package preflight_test

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/converter/internal/preflight"
)

func TestScriptOf(t *testing.T) {
	t.Parallel()
	text := func(content string) []byte {
		return packed(t, "[Content_Types].xml", "<Types/>", "word/styles.xml", "<s>스타일 이름</s>",
			"word/document.xml", `<d 이름="속성"><p font="맑은 고딕"/><!-- 주석 --><t>`+content+"</t></d>")
	}
	long := strings.Repeat("Western text. ", 100)
	for name, c := range map[string]struct {
		content []byte
		want    preflight.Script
	}{
		"Korean":                      {text("제목 title"), preflight.Korean},
		"Korean with Chinese letters": {text("大韓民國 이다"), preflight.Korean},
		"Japanese":                    {text("会議の記録"), preflight.Japanese},
		"Japanese, half-width":        {text("ｶﾀｶﾅ 会議"), preflight.Japanese},
		"Chinese":                     {text("会议记录 2026"), preflight.Chinese},
		"Chinese with one kana":       {text(strings.Repeat("会议记录", 10) + "の"), preflight.Chinese},
		"Western":                     {text("Протокол, minutes, πρακτικά"), preflight.OtherScript},
		"Western with a name":         {text(long + "홍길동"), preflight.OtherScript},
		"Western at first":            {text(strings.Repeat(long, 10) + strings.Repeat("회의록", 10_000)), preflight.OtherScript},
		"numbers":                     {text("1, 2. 3"), preflight.OtherScript},
		"nothing":                     {text(""), preflight.OtherScript},
		"slides": {packed(t, "[Content_Types].xml", "<Types/>", "ppt/slideMasters/slideMaster1.xml", "<t>마스터</t>",
			"ppt/slides/slide1.xml", "<t>Title</t>", "ppt/slides/slide2.xml", "<t>会議の記録です</t>"), preflight.Japanese},
		"Korean layouts":  {packed(t, "ppt/slideLayouts/slideLayout1.xml", "<t>마스터</t>", "ppt/slides/slide1.xml", "<t>Title</t>"), preflight.OtherScript},
		"a workbook":      {packed(t, "xl/sharedStrings.xml", "<t>제목</t>"), preflight.OtherScript},
		"an OpenDocument": {packed(t, "content.xml", "<t>제목</t>"), preflight.OtherScript},
		"not a package":   {[]byte("제목"), preflight.OtherScript},
		"nothing at all":  {nil, preflight.OtherScript},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, preflight.ScriptOf(t.Context(), bytes.NewReader(c.content), int64(len(c.content))))
		})
	}
	ended, end := context.WithCancel(t.Context())
	end()
	korean := text("제목")
	require.Equal(t, preflight.OtherScript, preflight.ScriptOf(ended, bytes.NewReader(korean), int64(len(korean))))
}

// BenchmarkScriptOf measures what the script of a document costs before it is opened.
func BenchmarkScriptOf(b *testing.B) {
	for _, name := range []string{"synth-three-pages.docx", "docling__equations.docx", "open-xml-sdk__AllSlidesConverterTC.pptx"} {
		content, err := os.ReadFile(testdata + name)
		require.NoError(b, err)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				preflight.ScriptOf(b.Context(), bytes.NewReader(content), int64(len(content)))
			}
		})
	}
}
