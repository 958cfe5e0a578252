package libreoffice

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// footer has a run as the library docx of npm writes it.
const footer = `<?xml version="1.0" encoding="UTF-8"?><w:ftr xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:p>` +
	`<w:r w:rsidR="1"><w:rPr><w:rFonts w:ascii="DejaVu Sans Mono" w:hAnsi="DejaVu Sans Mono"/></w:rPr><w:t xml:space="preserve">- </w:t>` +
	`<w:fldChar w:fldCharType="begin"/><w:instrText>PAGE</w:instrText><w:fldChar w:fldCharType="end"/><w:t> &amp;</w:t></w:r></w:p></w:ftr>`

func TestWithSeparateFields(t *testing.T) {
	t.Parallel()
	got, needed := withSeparateFields([]byte(footer))
	require.True(t, needed)
	run := func(content string) string {
		return `<w:r w:rsidR="1"><w:rPr><w:rFonts w:ascii="DejaVu Sans Mono" w:hAnsi="DejaVu Sans Mono"/></w:rPr>` + content + `</w:r>`
	}
	before, _, _ := strings.Cut(footer, "<w:r ")
	require.Equal(t, before+run(`<w:t xml:space="preserve">- </w:t>`)+run(`<w:fldChar w:fldCharType="begin"/>`)+run("<w:instrText>PAGE</w:instrText>")+
		run(`<w:fldChar w:fldCharType="end"/>`)+run("<w:t> &amp;</w:t>")+"</w:p></w:ftr>", string(got))
	for _, fine := range []string{
		"", "<w:fldChar", `<w:r><w:t/></w:r>`, `<w:r><w:t>&lt;w:fldChar</w:t></w:r>`, `<w:r><w:rPr/><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:t/><w:br/></w:r>`,
		string(got),
	} {
		_, needed := withSeparateFields([]byte(fine))
		require.False(t, needed, fine)
	}
}

// TestHostileFooters: a footer of 64 KiB must not be multiplied.
func TestHostileFooters(t *testing.T) {
	t.Parallel()
	const many = maxFooter / 9
	nested := `<w:r><w:rPr>`
	for name, part := range map[string]string{
		"much formatting":   `<w:r><w:rPr>` + strings.Repeat("<a/>", many) + `</w:rPr><w:fldChar/>` + strings.Repeat("<a/>", many) + `</w:r>`,
		"many elements":     `<w:r><w:fldChar/>` + strings.Repeat("<a/>", many) + `</w:r>`,
		"20 elements":       `<w:r><w:fldChar/>` + strings.Repeat("<a/>", 20) + `</w:r>`,
		"formatting of 500": `<w:r><w:rPr>` + strings.Repeat("<a/>", 500) + `</w:rPr><w:fldChar/><w:t/></w:r>`,
		"many runs":         strings.Repeat(`<w:r><w:fldChar/><w:t/></w:r>`, many/5),
	} {
		_, needed := withSeparateFields([]byte(`<w:ftr xmlns:w="x">` + part + `</w:ftr>`))
		require.False(t, needed, name)
	}
	chain := strings.Repeat(nested, 600) + strings.Repeat(`</w:rPr><w:fldChar/><w:t/></w:r>`, 600)
	separated, _ := withSeparateFields([]byte(`<w:ftr xmlns:w="x">` + chain + `</w:ftr>`))
	require.Less(t, len(separated), 16*maxFooter)
}

func FuzzWithSeparateFields(f *testing.F) {
	f.Add([]byte(footer))
	f.Add([]byte(`<w:r xmlns:w="x"><w:r><w:fldChar/><w:t/></w:r><w:fldChar/><w:rPr/><w:rPr/></w:r>`))
	f.Fuzz(func(t *testing.T, part []byte) {
		if changed, needed := withSeparateFields(part); needed {
			_, again := withSeparateFields(changed)
			require.False(t, again, "%q", changed)
		}
	})
}

// TestFieldsInFooters looks for the font of a run with a field and text.
func TestFieldsInFooters(t *testing.T) {
	t.Parallel()
	const (
		types = `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>` +
			`<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/>` +
			`<Override PartName="/word/footer1.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.footer+xml"/></Types>`
		relation = `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" ` +
			`Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/`
	)
	var document bytes.Buffer
	w := zip.NewWriter(&document)
	for _, part := range [][2]string{
		{"[Content_Types].xml", types},
		{"_rels/.rels", relation + `officeDocument" Target="word/document.xml"/></Relationships>`},
		{"word/_rels/document.xml.rels", relation + `footer" Target="footer1.xml"/></Relationships>`},
		{"word/footer1.xml", strings.Replace(footer, `<w:t xml:space="preserve">- </w:t>`, "", 1)},
		{"word/document.xml", `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">` +
			`<w:body><w:p><w:r><w:t>Text</w:t></w:r></w:p><w:sectPr><w:footerReference w:type="default" r:id="r1"/></w:sectPr></w:body></w:document>`},
	} {
		entry, err := w.Create(part[0])
		require.NoError(t, err)
		_, err = entry.Write([]byte(part[1]))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	e := setup(t, nil)
	for layout, kept := range map[conversionv1.Layout]bool{
		conversionv1.Layout_LAYOUT_UNSPECIFIED: true, conversionv1.Layout_LAYOUT_LIBREOFFICE: false,
	} {
		request := requestFor(t, document.Bytes(), "docx")
		request.Options = &conversionv1.Options{Layout: layout}
		output, err := e.Convert(t.Context(), request)
		require.NoError(t, err)
		require.Contains(t, pdfText(t, output.Path), "1&")
		names, err := e.pdf.Fonts(t.Context(), output.Path)
		require.NoError(t, err)
		if kept {
			require.Contains(t, names, "DejaVuSansMono")
		} else {
			require.NotContains(t, names, "DejaVuSansMono", "LibreOffice itself does what the correction is for: remove it")
		}
	}
	// A package that cannot be copied is left to LibreOffice.
	in := input{layout: layout{changed: parts{"word/footer1.xml": nil}}}
	request := requestFor(t, []byte("damaged"), "docx")
	path, err := placeSource(request.Source, in, t.TempDir(), false)
	require.NoError(t, err)
	require.NotEmpty(t, path)
}
