package libreoffice

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/detect"
	"github.com/docmill/docmill/contract/format"
)

// TestEveryInput converts a document of each less common format to PDF; TestEveryFormat has the common ones.
func TestEveryInput(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	const (
		presentation = "application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml"
		text         = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
		sheet        = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
		visio        = "application/vnd.ms-visio.drawing.main+xml"
		macros       = ".macroEnabled.main+xml"
	)
	deck, equations, table := read(t, "open-xml-sdk__AllSlidesConverterTC.pptx"), read(t, "docling__equations.docx"), read(t, "synth-table.xlsx")
	letter, ods := read(t, "synth-letter.odt"), read(t, "synth-table.ods")
	for _, c := range []struct {
		format  string
		content []byte
		pages   int
		text    string
	}{
		{"ppsm", retyped(t, deck, presentation, "application/vnd.ms-powerpoint.slideshow"+macros), 5, ""},
		{"potm", retyped(t, deck, presentation, "application/vnd.ms-powerpoint.template"+macros), 5, ""},
		{"pot", read(t, "aspose.slides-for-.net__Print.ppt"), 2, ""},
		{"otp", retyped(t, openDocument(t, "presentation", slide), "presentation", "presentation-template"), 1, "Hello slide"},
		{"fodp", flat("presentation", slide), 1, "Hello slide"},
		{"key", read(t, "tika__testKeynote2018.key"), 2, "LIBREOFFICE"},

		{"html", []byte("<!DOCTYPE html><title>x</title><h1>Grüße, Привет, 你好, €</h1>"), 1, "Grüße, Привет, 你好, €"},
		{"docm", retyped(t, equations, text, "application/vnd.ms-word.document"+macros), flowing, ""},
		{"dotx", retyped(t, equations, text, strings.Replace(text, "document.main", "template.main", 1)), flowing, ""},
		{"dotm", retyped(t, equations, text, "application/vnd.ms-word.template.macroEnabledTemplate.main+xml"), flowing, ""},
		{"dot", read(t, "docling__legacy_sample.doc"), flowing, ""},
		{"ott", retyped(t, letter, "application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.text-template"), 1, "Привет, 你好"},
		{"pages", read(t, "tika__testPagesLayout.pages"), 1, "text box 1"},
		{"wpd", read(t, "tika__testWordPerfect.wpd"), 1, "AND FURTHER"},
		{"wps", read(t, "tika__testWORKSWordProcessor4.0.wps"), 1, "Microsoft Works"},

		{"xlsm", retyped(t, table, sheet, "application/vnd.ms-excel.sheet"+macros), 1, "Київ"},
		{"xltm", retyped(t, table, sheet, "application/vnd.ms-excel.template"+macros), 1, "Київ"},
		{"xlt", read(t, "synth-table.xls"), 1, "Київ"},
		{"ots", retyped(t, ods, "application/vnd.oasis.opendocument.spreadsheet", "application/vnd.oasis.opendocument.spreadsheet-template"), 1, "Київ"},
		{"fods", flat("spreadsheet", cells), 1, "Hello cell"},
		{"numbers", read(t, "tika__tableNames.numbers"), 1, ""},

		{"odg", openDocument(t, "graphics", drawing), 1, "Hello drawing"},
		{"otg", openDocument(t, "graphics-template", drawing), 1, "Hello drawing"},
		{"fodg", flat("graphics", drawing), 1, "Hello drawing"},
		{"vsd", read(t, "tika__testVISIO.vsd"), 1, "Test View"},
		{"vsdx", read(t, "tika__testVISIO_text.vsdx"), 1, "Router here"},
		{"vsdm", retyped(t, read(t, "tika__testVISIO_text.vsdx"), visio, "application/vnd.ms-visio.drawing"+macros), 1, "Router here"},
		{"vdx", []byte(visioXML), 1, "Hello Visio"},
		{"pub", read(t, "tika__testPUBLISHER.pub"), 1, "0123456789"},

		{"png", encoded(t, png.Encode), 1, ""},
		{"jpeg", encoded(t, func(w io.Writer, m image.Image) error { return jpeg.Encode(w, m, nil) }), 1, ""},
		{"gif", encoded(t, func(w io.Writer, m image.Image) error { return gif.Encode(w, m, nil) }), 1, ""},
		{"bmp", bitmap(), 1, ""},
		{"tiff", tagged(), 1, ""},
		{"webp", read(t, "tika__testWEBP.webp"), 1, ""},
		{"svg", []byte(vector), 1, "Hello vector"},
		{"emf", read(t, "tika__testEMF_iconOnlyLongFilename.emf"), 1, "some word doc"},
		{"wmf", metafile(), 1, ""},
	} {
		t.Run(c.format, func(t *testing.T) {
			t.Parallel()
			found, err := detect.Detect(t.Context(), bytes.NewReader(c.content), int64(len(c.content)), "document."+c.format)
			require.NoError(t, err)
			require.Equal(t, c.format, found.Format.ID)
			output, err := e.Convert(t.Context(), requestFor(t, c.content, c.format))
			require.NoError(t, err)
			if c.pages != flowing {
				require.Equal(t, c.pages, output.Pages)
			}
			require.Contains(t, pdfText(t, output.Path), c.text)
			if found.Format.Family == format.Drawing {
				require.True(t, painted(t, output.Path), "the page is empty")
			}
		})
	}
}

// painted reports whether anything on a PDF's first page is not white.
func painted(t *testing.T, path string) bool {
	t.Helper()
	pixels, err := exec.Command("pdftoppm", "-gray", "-r", "72", "-singlefile", path).Output()
	require.NoError(t, err)
	return bytes.ContainsFunc(pixels[20:], func(r rune) bool { return r < 0xe0 && r != '\n' })
}

// retyped changes a package's content type, and so its format.
func retyped(t *testing.T, archive []byte, before, after string) []byte {
	t.Helper()
	changes := 0
	changed := edit(t, archive, func(name string, content []byte) []byte {
		if name != "[Content_Types].xml" && name != "mimetype" && name != "META-INF/manifest.xml" {
			return content
		}
		changes += bytes.Count(content, []byte(before))
		return bytes.ReplaceAll(content, []byte(before), []byte(after))
	})
	require.Positive(t, changes)
	return changed
}

const spaces = ` xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"` +
	` xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"` +
	` xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0" office:version="1.2"`

// The bodies of small documents.
const (
	box = `<draw:frame svg:width="8cm" svg:height="2cm" svg:x="2cm" svg:y="2cm"><draw:text-box><text:p>Hello %</text:p></draw:text-box></draw:frame>`

	cells = `<office:spreadsheet><table:table table:name="a"><table:table-row><table:table-cell office:value-type="string">` +
		`<text:p>Hello cell</text:p></table:table-cell></table:table-row></table:table></office:spreadsheet>`
)

var (
	slide   = `<office:presentation><draw:page>` + strings.Replace(box, "%", "slide", 1) + `</draw:page></office:presentation>`
	drawing = `<office:drawing><draw:page>` + strings.Replace(box, "%", "drawing", 1) + `</draw:page></office:drawing>`
)

func flat(kind, body string) []byte {
	return []byte(`<?xml version="1.0" encoding="UTF-8"?><office:document` + spaces +
		` office:mimetype="application/vnd.oasis.opendocument.` + kind + `"><office:body>` + body + `</office:body></office:document>`)
}

// openDocument returns a package with a body. LibreOffice 25.2 considers entries that are not in the manifest as
// damage.
func openDocument(t *testing.T, kind, body string) []byte {
	t.Helper()
	mediaType := "application/vnd.oasis.opendocument." + kind
	var out bytes.Buffer
	to := zip.NewWriter(&out)
	store(t, to, "mimetype", []byte(mediaType))
	store(t, to, "META-INF/manifest.xml", []byte(
		`<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.2">`+
			`<manifest:file-entry manifest:full-path="/" manifest:version="1.2" manifest:media-type="`+mediaType+`"/>`+
			`<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>`))
	store(t, to, "content.xml", []byte(`<?xml version="1.0" encoding="UTF-8"?><office:document-content`+spaces+`><office:body>`+body+
		`</office:body></office:document-content>`))
	require.NoError(t, to.Close())
	return out.Bytes()
}

const visioXML = `<?xml version="1.0" encoding="utf-8"?><VisioDocument xmlns="http://schemas.microsoft.com/visio/2003/core"><Pages>` +
	`<Page ID="0"><PageSheet><PageProps><PageWidth>8</PageWidth><PageHeight>11</PageHeight></PageProps></PageSheet><Shapes>` +
	`<Shape ID="1" Type="Shape"><XForm><PinX>4</PinX><PinY>8</PinY><Width>3</Width><Height>1</Height><LocPinX>1</LocPinX>` +
	`<LocPinY>1</LocPinY></XForm><Text>Hello Visio</Text></Shape></Shapes></Page></Pages></VisioDocument>`

// vector is an SVG as Adobe Illustrator writes it: with entities for namespaces.
const vector = `<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd" [
<!ENTITY ns_svg "http://www.w3.org/2000/svg">]><svg xmlns="&ns_svg;" width="200" height="100"><rect width="90" height="90"/>` +
	`<text x="10" y="50" fill="red">Hello vector</text></svg>`

func encoded(t *testing.T, encode func(io.Writer, image.Image) error) []byte {
	t.Helper()
	picture := image.NewPaletted(image.Rect(0, 0, 64, 64), color.Palette{color.Black, color.White})
	var out bytes.Buffer
	require.NoError(t, encode(&out, picture))
	return out.Bytes()
}

// bitmap is 8 by 8 black pixels of 24 bits.
func bitmap() []byte {
	le := binary.LittleEndian
	head := append([]byte("BM"), make([]byte, 52+8*24)...)
	le.PutUint32(head[2:], uint32(len(head)))
	le.PutUint32(head[10:], 54)
	le.PutUint32(head[14:], 40)
	le.PutUint32(head[18:], 8)
	le.PutUint32(head[22:], 8)
	le.PutUint16(head[26:], 1)
	le.PutUint16(head[28:], 24)
	return head
}

// tagged is a TIFF of 8 by 8 black pixels of 8 bits.
func tagged() []byte {
	le := binary.LittleEndian
	data := append([]byte("II*\x00\x08\x00\x00\x00"), 8, 0)
	const pixels = 8 + 2 + 8*12 + 4
	for _, field := range [][3]uint32{
		{256, 3, 8}, {257, 3, 8}, {258, 3, 8}, {259, 3, 1}, {262, 3, 1}, {273, 4, pixels}, {278, 3, 8}, {279, 4, 64},
	} {
		data = le.AppendUint16(data, uint16(field[0]))
		data = le.AppendUint16(data, uint16(field[1]))
		data = le.AppendUint32(data, 1)
		data = le.AppendUint32(data, field[2])
	}
	return append(data, make([]byte, 4+64)...)
}

// records encodes numbers.
func records(words ...any) []byte {
	var out bytes.Buffer
	for _, word := range words {
		_ = binary.Write(&out, binary.LittleEndian, word) // to memory
	}
	return out.Bytes()
}

// metafile is a rectangle: both headers, window, rectangle, end (MS-WMF 2.3).
func metafile() []byte {
	head := []uint16{0xcdd7, 0x9ac6, 0, 0, 0, 1000, 1000, 1440, 0, 0}
	sum := uint16(0)
	for _, word := range head {
		sum ^= word
	}
	return records(
		head, sum, uint16(1), uint16(9), uint16(0x300), uint32(9+5+5+7+3), uint16(0), uint32(7), uint16(0),
		uint32(5), uint16(0x20b), [2]uint16{0, 0}, // origin
		uint32(5), uint16(0x20c), [2]uint16{1000, 1000}, // extent
		uint32(7), uint16(0x41b), [4]uint16{900, 900, 100, 100}, // rectangle
		uint32(3), uint16(0),
	)
}
