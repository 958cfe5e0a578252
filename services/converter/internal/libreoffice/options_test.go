package libreoffice

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

const (
	fiveSlides = "open-xml-sdk__AllSlidesConverterTC.pptx"
	letter     = "docling__equations.docx"
	hidden     = "aspose.slides-for-.net__HiddingSlides.pptx"
)

// optionCases are the cases of TestOptions.
var optionCases = map[string]struct {
	file    string
	options *conversionv1.Options
	pages   int
	info    []string // lines of pdfinfo, spaces squeezed
	text    string
}{
	"pages":          {fiveSlides, &conversionv1.Options{Pages: new("2-3,5")}, 3, nil, ""},
	"pages to end":   {fiveSlides, &conversionv1.Options{Pages: new("1,4-")}, 3, nil, ""},
	"pages past end": {fiveSlides, &conversionv1.Options{Pages: new("4-200")}, 2, nil, ""},
	"PDF/A-1b":       {letter, &conversionv1.Options{PdfA: conversionv1.PdfA_PDF_A_1B}, flowing, []string{"PDF version: 1.4", "<pdfaid:part>1<"}, ""},
	"PDF/A-2b":       {letter, &conversionv1.Options{PdfA: conversionv1.PdfA_PDF_A_2B}, flowing, []string{"<pdfaid:part>2<", "<pdfaid:conformance>B<"}, ""},
	"PDF/A-3b":       {letter, &conversionv1.Options{PdfA: conversionv1.PdfA_PDF_A_3B}, flowing, []string{"<pdfaid:part>3<", "<pdfaid:conformance>B<"}, ""},
	"PDF/UA":         {letter, &conversionv1.Options{PdfUa: new(true)}, flowing, []string{"Tagged: yes", "<pdfuaid:part>1<"}, ""},
	"tagged":         {letter, &conversionv1.Options{Tagged: new(true)}, flowing, []string{"Tagged: yes"}, ""},
	"not tagged":     {letter, &conversionv1.Options{Tagged: new(false)}, flowing, []string{"Tagged: no"}, ""},
	"watermark":      {letter, &conversionv1.Options{Watermark: new(`Top "secret" = ü`)}, flowing, nil, `Top "secret" = ü`},
	"hidden slides":  {hidden, &conversionv1.Options{HiddenSlides: new(true)}, 3, nil, ""},
	"visible slides": {hidden, &conversionv1.Options{HiddenSlides: new(false)}, 2, nil, ""},
	"notes, too":     {"aspose.slides-for-.net__Print.ppt", &conversionv1.Options{Notes: conversionv1.Notes_NOTES_WITH}, 4, nil, ""},
	"only notes":     {"aspose.slides-for-.net__Print.ppt", &conversionv1.Options{Notes: conversionv1.Notes_NOTES_ONLY}, 2, []string{"Page size: 540 x 720 pts"}, ""},
	"single page":    {"open-xml-sdk__FilterByCF.xlsx", &conversionv1.Options{SinglePageSheets: new(true)}, 3, nil, ""},
	"US paper":       {"synth-table.csv", &conversionv1.Options{Locale: new("en-US")}, 1, []string{"Page size: 612 x 792 pts (letter)"}, ""},
	"German paper":   {"synth-table.csv", &conversionv1.Options{Locale: new("de")}, 1, []string{"(A4)"}, ""},
}

// TestOptions checks the effect of each option, as poppler shows it.
func TestOptions(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for name, c := range optionCases {
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

// TestEveryOptionHasACase checks that the effect of each option on a real document is tested: LibreOffice ignores the name
// of a property that it does not know.
func TestEveryOptionHasACase(t *testing.T) {
	t.Parallel()
	tested := map[option.Name]bool{
		option.UpdateIndexes: true, // TestUpdateIndexes
		option.Layout:        true, // TestEastAsianDocuments, TestWordRules
		option.ImageQuality:  true, // TestContentAndImageOptions compares two values
	}
	mark := func(options *conversionv1.Options) {
		for name := range option.Values(options) {
			tested[option.Name(name)] = true
		}
	}
	for _, c := range optionCases {
		mark(c.options)
	}
	for _, c := range contentCases {
		mark(c.options)
	}
	for _, c := range pageSetupCases {
		mark(c.options)
	}
	for _, name := range slices.Concat(LoadOptions, ExportOptions, PageSetupOptions) {
		require.True(t, tested[name], "%s needs a case in this file or in pagesetup_test.go", name)
	}
}

// TestUpdateIndexes checks that an outdated table of contents is only updated on request.
func TestUpdateIndexes(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for _, update := range []bool{false, true} {
		t.Run(fmt.Sprint(update), func(t *testing.T) {
			t.Parallel()
			request := requestFor(t, []byte(staleIndex), "fodt")
			request.Options = &conversionv1.Options{UpdateIndexes: new(update)}
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

// TestMissingPages distinguishes a page range beyond the end from a broken document.
func TestMissingPages(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for file, format := range map[string]string{fiveSlides: "pptx", letter: "docx", "synth-table.xlsx": "xlsx"} {
		request := requestFor(t, read(t, file), format)
		request.Options = &conversionv1.Options{Pages: new("200-")}
		_, err := e.Convert(t.Context(), request)
		requireCode(t, err, problem.PagesNotFound)
	}
}

// contentCases are the cases of TestContentAndImageOptions.
var contentCases = map[string]struct {
	options       *conversionv1.Options
	with, without []string // words in the output of pdfinfo, pdftotext, pdfimages and qpdf
}{
	"default":         {&conversionv1.Options{}, []string{"/Outlines", "Form: AcroForm", " jpeg "}, []string{"/UseOutlines", "/UseThumbs", "Mind the gap"}},
	"no bookmarks":    {&conversionv1.Options{Bookmarks: new(false)}, nil, []string{"/Outlines"}},
	"no form fields":  {&conversionv1.Options{FormFields: new(false)}, []string{"Form: none"}, nil},
	"annotations":     {&conversionv1.Options{Comments: conversionv1.Comments_COMMENTS_ANNOTATIONS}, []string{"/Subtype /Text"}, nil},
	"no comments":     {&conversionv1.Options{Comments: conversionv1.Comments_COMMENTS_NONE}, nil, []string{"/Subtype /Text", "Mind the gap"}},
	"lossless":        {&conversionv1.Options{ImageLossless: new(true)}, []string{" image ", " 400 "}, []string{" jpeg "}},
	"75 dpi":          {&conversionv1.Options{ImageDpi: proto.Int32(75)}, []string{" 75 75 "}, nil},
	"with bookmarks":  {&conversionv1.Options{InitialView: conversionv1.InitialView_INITIAL_VIEW_OUTLINE}, []string{"/UseOutlines"}, nil},
	"with thumbnails": {&conversionv1.Options{InitialView: conversionv1.InitialView_INITIAL_VIEW_THUMBNAILS}, []string{"/UseThumbs"}, nil},
	"at page 2":       {&conversionv1.Options{InitialPage: proto.Int32(2)}, []string{"/OpenAction"}, nil},
}

// TestContentAndImageOptions uses a text with a heading, a form field, a comment and an image.
func TestContentAndImageOptions(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	document := oneOfEach(t)
	for name, c := range contentCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := requestFor(t, document, "fodt")
			request.Options = c.options
			output, err := e.Convert(t.Context(), request)
			require.NoError(t, err)
			facts, err := exec.Command("sh", "-c", `pdfinfo "$1"; pdftotext "$1" -; pdfimages -list "$1"; qpdf --qdf "$1" -`, "sh", output.Path).Output()
			require.NoError(t, err)
			words := strings.Join(strings.Fields(string(facts)), " ")
			for _, word := range c.with {
				require.Contains(t, words, word)
			}
			for _, word := range c.without {
				require.NotContains(t, words, word)
			}
		})
	}
	sizes := map[int32]int64{}
	for _, quality := range []int32{10, 95} {
		request := requestFor(t, document, "fodt")
		request.Options = &conversionv1.Options{ImageQuality: new(quality)}
		output, err := e.Convert(t.Context(), request)
		require.NoError(t, err)
		info, err := os.Stat(output.Path)
		require.NoError(t, err)
		sizes[quality] = info.Size()
	}
	require.Less(t, sizes[10], sizes[95]/2)
}

// oneOfEach returns a text of two pages.
func oneOfEach(t *testing.T) []byte {
	t.Helper()
	noise := image.NewRGBA(image.Rect(0, 0, 400, 400))
	random := rand.NewChaCha8([32]byte{})
	for i := range noise.Pix { // noise: the better its quality, the larger the JPEG
		noise.Pix[i] = byte(random.Uint64())
	}
	var encoded bytes.Buffer
	require.NoError(t, jpeg.Encode(&encoded, noise, &jpeg.Options{Quality: 100}))
	return fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>
<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" xmlns:form="urn:oasis:names:tc:opendocument:xmlns:form:1.0" xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" xmlns:fo="urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0"
 office:version="1.3" office:mimetype="application/vnd.oasis.opendocument.text">
<office:automatic-styles><style:style style:name="next" style:family="paragraph"><style:paragraph-properties fo:break-before="page"/></style:style></office:automatic-styles>
<office:body><office:text>
<office:forms><form:form form:name="f"><form:text form:name="field" form:id="c1" xml:id="c1" form:control-implementation="ooo:com.sun.star.form.component.TextField" xmlns:ooo="http://openoffice.org/2004/office"/></form:form></office:forms>
<text:h text:outline-level="1">Heading</text:h>
<text:p>Train<office:annotation><dc:creator>A</dc:creator><text:p>Mind the gap</text:p></office:annotation></text:p>
<text:p><draw:control draw:control="c1" text:anchor-type="as-char" svg:width="5cm" svg:height="1cm"/></text:p>
<text:p><draw:frame text:anchor-type="as-char" svg:width="5.08cm" svg:height="5.08cm"><draw:image><office:binary-data>%s</office:binary-data></draw:image></draw:frame></text:p>
<text:p text:style-name="next">Second page</text:p></office:text></office:body></office:document>`, base64.StdEncoding.EncodeToString(encoded.Bytes()))
}
