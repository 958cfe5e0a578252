package forkserver

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/platform/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

const (
	fiveSlides = "open-xml-sdk__AllSlidesConverterTC.pptx"
	letter     = "docling__equations.docx"
	hidden     = "aspose.slides-for-.net__HiddingSlides.pptx"
)

// TestOptions holds each option to what it says, by what poppler sees in the PDF.
func TestOptions(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for name, c := range map[string]struct {
		file    string
		options *conversionv1.Options
		pages   int
		info    []string // lines of pdfinfo, spaces squeezed
		text    string
	}{
		"pages":          {fiveSlides, &conversionv1.Options{Pages: proto.String("2-3,5")}, 3, nil, ""},
		"pages to end":   {fiveSlides, &conversionv1.Options{Pages: proto.String("1,4-")}, 3, nil, ""},
		"pages past end": {fiveSlides, &conversionv1.Options{Pages: proto.String("4-200")}, 2, nil, ""},
		"PDF/A-1b":       {letter, &conversionv1.Options{PdfA: conversionv1.PdfA_PDF_A_1B}, flowing, []string{"PDF version: 1.4", "<pdfaid:part>1<"}, ""},
		"PDF/A-2b":       {letter, &conversionv1.Options{PdfA: conversionv1.PdfA_PDF_A_2B}, flowing, []string{"<pdfaid:part>2<", "<pdfaid:conformance>B<"}, ""},
		"PDF/A-3b":       {letter, &conversionv1.Options{PdfA: conversionv1.PdfA_PDF_A_3B}, flowing, []string{"<pdfaid:part>3<", "<pdfaid:conformance>B<"}, ""},
		"PDF/UA":         {letter, &conversionv1.Options{PdfUa: proto.Bool(true)}, flowing, []string{"Tagged: yes", "<pdfuaid:part>1<"}, ""},
		"tagged":         {letter, &conversionv1.Options{Tagged: proto.Bool(true)}, flowing, []string{"Tagged: yes"}, ""},
		"not tagged":     {letter, &conversionv1.Options{Tagged: proto.Bool(false)}, flowing, []string{"Tagged: no"}, ""},
		"watermark":      {letter, &conversionv1.Options{Watermark: proto.String(`Top "secret" = ü`)}, flowing, nil, `Top "secret" = ü`},
		"hidden slides":  {hidden, &conversionv1.Options{HiddenSlides: proto.Bool(true)}, 3, nil, ""},
		"visible slides": {hidden, &conversionv1.Options{HiddenSlides: proto.Bool(false)}, 2, nil, ""},
		"notes, too":     {"aspose.slides-for-.net__Print.ppt", &conversionv1.Options{Notes: conversionv1.Notes_NOTES_WITH}, 4, nil, ""},
		"only notes":     {"aspose.slides-for-.net__Print.ppt", &conversionv1.Options{Notes: conversionv1.Notes_NOTES_ONLY}, 2, []string{"Page size: 540 x 720 pts"}, ""},
		"single page":    {"open-xml-sdk__FilterByCF.xlsx", &conversionv1.Options{SinglePageSheets: proto.Bool(true)}, 3, nil, ""},
		"US paper":       {"synth-table.csv", &conversionv1.Options{Locale: proto.String("en-US")}, 1, []string{"Page size: 612 x 792 pts (letter)"}, ""},
		"German paper":   {"synth-table.csv", &conversionv1.Options{Locale: proto.String("de")}, 1, []string{"(A4)"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, format, _ := strings.Cut(strings.ReplaceAll(c.file, ".net_", ""), ".")
			format = format[strings.LastIndex(format, ".")+1:]
			request := requestFor(t, read(t, c.file), format)
			request.Options = c.options
			output, err := e.Convert(t.Context(), request)
			require.NoError(t, err)
			if c.pages != flowing {
				require.Equal(t, c.pages, output.Pages)
			}
			info, err := exec.Command("sh", "-c", `pdfinfo "$1" && pdfinfo -meta "$1"`, "sh", output.Path).Output()
			require.NoError(t, err)
			for _, line := range c.info {
				require.Contains(t, strings.Join(strings.Fields(string(info)), " "), line)
			}
			require.Contains(t, pdfText(t, output.Path), c.text)
		})
	}
}

// TestIndexesAreMadeAnew: a table of contents that is out of date stays so unless its owner wants it otherwise.
func TestIndexesAreMadeAnew(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for _, update := range []bool{false, true} {
		t.Run(fmt.Sprint(update), func(t *testing.T) {
			t.Parallel()
			request := requestFor(t, []byte(staleIndex), "fodt")
			request.Options = &conversionv1.Options{UpdateIndexes: proto.Bool(update)}
			output, err := e.Convert(t.Context(), request)
			require.NoError(t, err)
			text := pdfText(t, output.Path)
			require.Equal(t, update, !strings.Contains(text, "Out of date"))
			require.Equal(t, map[bool]int{false: 1, true: 2}[update], strings.Count(text, "Present heading"))
		})
	}
}

const staleIndex = `<?xml version="1.0" encoding="UTF-8"?>
<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 office:version="1.3" office:mimetype="application/vnd.oasis.opendocument.text"><office:body><office:text>
<text:table-of-content text:name="Contents" text:protected="true"><text:table-of-content-source text:outline-level="3"/>
<text:index-body><text:p>Out of date</text:p></text:index-body></text:table-of-content>
<text:h text:outline-level="1">Present heading</text:h></office:text></office:body></office:document>`

// TestPagesThatAreNotThere tells a range beyond the end apart from a document that is broken.
func TestPagesThatAreNotThere(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for file, format := range map[string]string{fiveSlides: "pptx", letter: "docx", "synth-table.xlsx": "xlsx"} {
		request := requestFor(t, read(t, file), format)
		request.Options = &conversionv1.Options{Pages: proto.String("200-")}
		_, err := e.Convert(t.Context(), request)
		requireCode(t, err, problem.PagesNotFound)
	}
}
