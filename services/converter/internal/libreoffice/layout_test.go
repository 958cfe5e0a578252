package libreoffice

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// rewritten returns a package with a text in one part replaced, once.
func rewritten(t *testing.T, content []byte, part, from, to string) []byte {
	t.Helper()
	in, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	require.NoError(t, err)
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, file := range in.File {
		r, err := file.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		if file.Name == part {
			require.Contains(t, string(text), from)
			text = bytes.Replace(text, []byte(from), []byte(to), 1)
		}
		entry, err := w.Create(file.Name)
		require.NoError(t, err)
		_, err = entry.Write(text)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// warmUpDocument returns a warm-up document with other text.
func warmUpDocument(t *testing.T, name, part, text string) []byte {
	t.Helper()
	content, err := warmUpFiles.ReadFile("warm/" + name)
	require.NoError(t, err)
	return rewritten(t, content, part, ">Docmill", ">"+text)
}

// pdfLanguage returns the language that a PDF declares, which is the one that the document was loaded in unless the document
// declares another.
func pdfLanguage(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	found := regexp.MustCompile(`/Lang *\(([^)]*)\)`).FindSubmatch(content)
	require.NotNil(t, found)
	return string(found[1])
}

func TestEastAsianDocuments(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	korean, japanese, chinese := strings.Repeat("회의록 작성 ", 20), strings.Repeat("議事録の作成 ", 20), strings.Repeat("会议记录 ", 20)
	deck := func(text string) []byte { return warmUpDocument(t, "deck.pptx", "ppt/slides/slide1.xml", text) }
	for name, c := range map[string]struct {
		document []byte
		format   string
		options  *conversionv1.Options
		want     string
	}{
		"Korean slides":                {deck(korean), "pptx", nil, "ko-KR"},
		"Japanese slides":              {deck(japanese), "pptx", nil, "ja-JP"},
		"Chinese slides":               {deck(chinese), "pptx", nil, "ja-JP"},
		"other slides":                 {deck("Docmill"), "pptx", nil, "en"},
		"Korean slides of another":     {deck(korean), "pptx", &conversionv1.Options{Locale: new("fr")}, "fr"},
		"Korean slides, LibreOffice":   {deck(korean), "pptx", &conversionv1.Options{Layout: conversionv1.Layout_LAYOUT_LIBREOFFICE}, "en"},
		"Korean slides, Office":        {deck(korean), "pptx", &conversionv1.Options{Layout: conversionv1.Layout_LAYOUT_OFFICE}, "ko-KR"},
		"Korean sheet":                 {warmUpDocument(t, "sheet.xlsx", "xl/sharedStrings.xml", korean), "xlsx", nil, "en"},
		"Korean text, in OpenDocument": {warmUpDocument(t, "text.odt", "content.xml", korean), "odt", nil, "en-US"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := requestFor(t, c.document, c.format)
			request.Options = c.options
			output, err := e.Convert(t.Context(), request)
			require.NoError(t, err)
			require.Equal(t, c.want, pdfLanguage(t, output.Path))
		})
	}
}

// TestDatesOfEastAsianDocuments checks that dates are written in the format and language that the document declares.
func TestDatesOfEastAsianDocuments(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	field := func(instruction string) string {
		return `</w:t></w:r><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>` + instruction +
			`</w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>x</w:t></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r><w:r><w:t>`
	}
	text := strings.Repeat("회의록 작성 ", 20) + field(`DATE \@ "MMMM"`) + field("DATE")
	dates := map[conversionv1.Layout]string{}
	for _, layout := range []conversionv1.Layout{conversionv1.Layout_LAYOUT_OFFICE, conversionv1.Layout_LAYOUT_LIBREOFFICE} {
		request := requestFor(t, warmUpDocument(t, "text.docx", "word/document.xml", text), "docx")
		request.Options = &conversionv1.Options{Layout: layout}
		output, err := e.Convert(t.Context(), request)
		require.NoError(t, err)
		dates[layout] = pdfText(t, output.Path)
		require.Contains(t, dates[layout], time.Now().Format("06"))
	}
	require.Equal(t, dates[conversionv1.Layout_LAYOUT_LIBREOFFICE], dates[conversionv1.Layout_LAYOUT_OFFICE])
}

// TestWordRules converts documents that name a font that only the rules know.
func TestWordRules(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	e.wordRules = filepath.Join(t.TempDir(), "word.conf")
	require.NoError(t, os.WriteFile(e.wordRules, []byte(`<?xml version="1.0"?><fontconfig><match target="pattern">
		<test name="family"><string>Known To Word</string></test>
		<edit name="family" mode="prepend" binding="same"><string>DejaVu Sans Mono</string></edit>
	</match></fontconfig>`), 0o600))
	run := `</w:t></w:r><w:r><w:rPr><w:rFonts w:ascii="Known To Word" w:hAnsi="Known To Word"/></w:rPr><w:t>by rule`
	docx := warmUpDocument(t, "text.docx", "word/document.xml", "a"+run)
	deck := rewritten(t, warmUpDocument(t, "deck.pptx", "ppt/slides/slide1.xml", "by rule"), "ppt/slides/slide1.xml", `typeface="Arial"`, `typeface="Known To Word"`)
	for name, c := range map[string]struct {
		document []byte
		format   string
		options  *conversionv1.Options
		applies  bool
	}{
		"text":              {docx, "docx", nil, true},
		"LibreOffice":       {docx, "docx", &conversionv1.Options{Layout: conversionv1.Layout_LAYOUT_LIBREOFFICE}, false},
		"slides":            {deck, "pptx", nil, false},
		"text of that file": {docx, "docm", nil, true}, // detected as docx
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := requestFor(t, c.document, c.format)
			request.Options = c.options
			output, err := e.Convert(t.Context(), request)
			require.NoError(t, err)
			names, err := e.pdf.Fonts(t.Context(), output.Path)
			require.NoError(t, err)
			if c.applies {
				require.Contains(t, names, "DejaVuSansMono-Bold")
			} else {
				require.NotContains(t, names, "DejaVuSansMono-Bold")
			}
		})
	}
	// A target that is not laid out keeps the document as it is.
	request := requestFor(t, docx, "docx")
	request.Target, _ = request.Format.Target("odt")
	require.Equal(t, layout{}, layoutOf(t.Context(), request, bytes.NewReader(docx), int64(len(docx))))
	request.Target, _ = request.Format.Target(format.TargetPDF)
	require.Equal(t, layout{asWord: true}, layoutOf(t.Context(), request, bytes.NewReader(docx), int64(len(docx))))
	// Without the file, documents are converted as they would be without rules.
	without := *e
	without.wordRules = "/does/not/exist"
	_, err := without.Convert(t.Context(), requestFor(t, docx, "docx"))
	require.NoError(t, err)
}
