package libreoffice

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// bodyOf returns the main part of a Word document.
func bodyOf(paragraphs string) string {
	return `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>` + paragraphs + `</w:body></w:document>`
}

const (
	breakAtEnd = `<w:p w:rsidR="1"><w:r><w:t>before</w:t></w:r><w:r><w:br w:type="page"/></w:r><w:bookmarkEnd w:id="1"/></w:p>`
	noSpace    = `<w:spacing w:before="0" w:beforeAutospacing="0"/>`
)

func TestDropSpaceAfterBreaks(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{`<w:p><w:r/></w:p>`, `<w:p><w:pPr>` + noSpace + `</w:pPr><w:r/></w:p>`},
		{`<w:proofErr w:type="x"/><w:p a="b"><w:pPr><w:jc/></w:pPr><w:r/></w:p>`, `<w:proofErr w:type="x"/><w:p a="b"><w:pPr>` + noSpace + `<w:jc/></w:pPr><w:r/></w:p>`},
		{
			`<w:p><w:pPr><w:pStyle w:val="1"/><w:spacing w:before="480" w:beforeLines="9" w:after="1"/></w:pPr></w:p>`,
			`<w:p><w:pPr><w:pStyle w:val="1"/><w:spacing w:before="0" w:after="1" w:beforeAutospacing="0"/></w:pPr></w:p>`,
		},
		{`<w:p><w:pPr><w:pStyle w:val="1"/></w:pPr></w:p>` + breakAtEnd, `<w:p><w:pPr><w:pStyle w:val="1"/>` + noSpace + `</w:pPr></w:p>` + breakAtEnd},
		{breakAtEnd + `<w:p></w:p>`, strings.Replace(breakAtEnd, `"1">`, `"1"><w:pPr>`+noSpace+`</w:pPr>`, 1) + `<w:p><w:pPr>` + noSpace + `</w:pPr></w:p>`},
	} {
		require.Equal(t, bodyOf(breakAtEnd+c[1]), string(dropSpaceAfterBreaks([]byte(bodyOf(breakAtEnd+c[0])))))
	}
	const next = `<w:p><w:r/></w:p>`
	for _, fine := range []string{
		"", next, breakAtEnd + `<w:tbl/>` + next, breakAtEnd + `<w:p/>`, breakAtEnd + `<w:p><w:pPr/></w:p>`,
		breakAtEnd + `<w:p><w:pPr><w:pageBreakBefore/></w:pPr></w:p>`,
		`<w:p><w:r><w:br w:type="page"/></w:r><w:r><w:t>after</w:t></w:r></w:p>` + next,
		`<w:p><w:r><w:br w:type="page"/><w:t>after</w:t></w:r></w:p>` + next,
		`<w:tc>` + breakAtEnd + next + `</w:tc>`, `<w:txbxContent>` + breakAtEnd + next, `<w:tc w:a="b">` + breakAtEnd + next,
		breakAtEnd + `<w:p><w:pPr>` + strings.Repeat(" ", maxParagraphFormat) + `</w:pPr></w:p>`,
		breakAtEnd + `<w:p><w:pPr><w:jc></w:pPr></w:p>`, breakAtEnd, pageBreak,
	} {
		require.Nil(t, dropSpaceAfterBreaks([]byte(bodyOf(fine))), fine)
	}
	cell := `<w:tc><w:p/></w:tc>`
	require.NotNil(t, dropSpaceAfterBreaks([]byte(bodyOf(cell+breakAtEnd+next))))
	// The number of breaks that are looked at is bounded.
	many := dropSpaceAfterBreaks([]byte(bodyOf(strings.Repeat(breakAtEnd, 2*maxBreaks) + next)))
	require.Equal(t, maxBreaks, strings.Count(string(many), noSpace))
}

func FuzzDropSpaceAfterBreaks(f *testing.F) {
	f.Add([]byte(bodyOf(breakAtEnd + `<w:p><w:pPr><w:spacing w:before="1"/></w:pPr></w:p>`)))
	f.Fuzz(func(t *testing.T, part []byte) {
		if changed := dropSpaceAfterBreaks(part); changed != nil {
			require.Equal(t, string(changed), string(dropSpaceAfterBreaks(changed)), "a second time")
		}
	})
}

// TestSpaceAfterPageBreaks: a page begins with its text.
func TestSpaceAfterPageBreaks(t *testing.T) {
	t.Parallel()
	const spaced = `<w:p><w:pPr><w:spacing w:before="1440"/></w:pPr><w:r><w:t>next</w:t></w:r></w:p>`
	document := packageOf(t,
		"[Content_Types].xml", `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>`+
			`<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>`,
		"_rels/.rels", relationship("officeDocument", "word/document.xml"), "word/document.xml", bodyOf(breakAtEnd+spaced))
	e := setup(t, nil)
	for _, layout := range []conversionv1.Layout{conversionv1.Layout_LAYOUT_OFFICE, conversionv1.Layout_LAYOUT_LIBREOFFICE} {
		request := requestFor(t, document, "docx")
		request.Options = &conversionv1.Options{Layout: layout}
		output, err := e.Convert(t.Context(), request)
		require.NoError(t, err)
		require.Equal(t, 2, output.Pages)
		boxes := wordBoxes(t, output.Path)
		if layout == conversionv1.Layout_LAYOUT_OFFICE {
			require.InDelta(t, boxes["before"][0], boxes["next"][0], 1)
		}
	}
}
