package detect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/officefile"
)

func TestDetectSamples(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		file      string
		format    string
		encrypted bool
	}{
		{"python-pptx__no-slides.pptx", "pptx", false},
		{"aspose.slides-for-.net__HiddingSlides.pptx", "pptx", false},
		{"aspose.slides-for-.net__Print.ppt", "ppt", false},
		{"gembox.presentation.examples__SampleVba.pptm", "pptm", false},
		{"odftoolkit__Presentation7.odp", "odp", false},
		{"docling__equations.docx", "docx", false},
		{"docling__legacy_sample.doc", "doc", false},
		{"gotenberg__libreoffice-linked-external.fodt", "fodt", false},
		{"officeimo__SampleFileRTF.rtf", "rtf", false},
		{"open-xml-sdk__FilterByCF.xlsx", "xlsx", false},
		{"open-xml-sdk__BusinessPerformancetest21_with_content_TP10209823.xltx", "xltx", false},
		{"gembox.presentation.examples__PptxEncryption.pptx", "pptx", true},
		{"gotenberg__protected_page_1.docx", "docx", true},
		{"excelize__encryptSHA512.xlsx", "xlsx", true},
		{"msoffcrypto-tool__rc4cryptoapi_password.ppt", "ppt", true},
		{"msoffcrypto-tool__rc4cryptoapi_password.doc", "doc", true},
		{"unoserver__simple.encrypted.odt", "odt", true},
		{"synth-built-in-password.xlsx", "xlsx", false},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			data := sample(t, c.file)
			got, err := examine(t, data, c.file)
			require.NoError(t, err)
			require.Equal(t, c.format, got.Format.ID)
			require.Equal(t, c.encrypted, got.Encrypted)
			require.NoError(t, DetectPrefix(t.Context(), data[:min(len(data), PrefixSize)], c.file))
		})
	}
}

// TestDetect holds contents against names: the policy of names that do not fit.
func TestDetect(t *testing.T) {
	t.Parallel()

	var (
		ppt     = compoundOf(stream{Name: "PowerPoint Document", Data: "…"}, stream{Name: "Workbook", Nested: true})
		doc     = compoundOf(stream{Name: "WordDocument", Data: "…"})
		sealed  = compoundOf(stream{Name: "EncryptionInfo"}, stream{Name: "EncryptedPackage", Data: "…"})
		png     = sample(t, "synth-png-named.pptx")
		noise   = randomBytes(4 << 10)
		svg     = []byte(`<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>`)
		master  = openDocument(t, format.OpenDocument+"text-master", plainManifest)
		pdfText = []byte("%PDF-1.4\n% no binary here\n")
		html    = []byte("<!DOCTYPE html><html><body>Hello</body></html>")
	)
	for _, c := range []struct {
		does     string
		data     []byte
		filename string
		format   string
		reason   Reason
	}{
		{"nothing", nil, "deck.pptx", "", Empty},

		{"a deck", packageOf(t, "pptx"), "deck.pptx", "pptx", 0},
		{"a name in capitals", packageOf(t, "pptx"), "Deck.PPTX", "pptx", 0},
		{"no extension", packageOf(t, "pptx"), "deck", "pptx", 0},
		{"no name", packageOf(t, "pptx"), "", "pptx", 0},
		{"an unknown extension", packageOf(t, "pptx"), "deck.bin", "pptx", 0},
		{"an extension that cannot be one", packageOf(t, "pptx"), "deck.v2 (final)", "pptx", 0},
		{"a variant of the family", packageOf(t, "ppsx"), "deck.pptx", "ppsx", 0},
		{"a template named as document", packageOf(t, "xltx"), "sheet.xlsx", "xltx", 0},
		{"macros under a name without", packageOf(t, "pptm"), "deck.pptx", "pptm", 0},
		{"a new deck under the old name", packageOf(t, "pptx"), "deck.ppt", "pptx", 0},
		{"a deck named as text", packageOf(t, "pptx"), "deck.docx", "", Contradiction},
		{"a text named as deck", packageOf(t, "docx"), "deck.pptx", "", Contradiction},
		{"a sheet named csv", packageOf(t, "xlsx"), "sheet.csv", "xlsx", 0},
		{"a text document named csv", packageOf(t, "docx"), "sheet.csv", "", Contradiction},
		{"what is known but not offered", master, "text.odm", "", Unsupported},
		{"what is not offered under a name of its family", master, "text.docx", "", Unsupported},
		{"what is not offered under a foreign name", master, "text.xlsx", "", Contradiction},

		{"a binary deck", ppt, "deck.ppt", "ppt", 0},
		{"a binary template", ppt, "deck.pot", "pot", 0},
		{"a binary text template", doc, "text.dot", "dot", 0},
		{"a binary workbook template", compoundOf(stream{Name: "Workbook"}), "sheet.xlt", "xlt", 0},
		{"a binary show", ppt, "deck.pps", "pps", 0},
		{"a binary deck under the new name", ppt, "deck.pptx", "ppt", 0},
		{"a binary deck without a name", ppt, "", "ppt", 0},
		{"a binary text", doc, "text.doc", "doc", 0},
		{"a binary text named as deck", doc, "deck.ppt", "", Contradiction},
		{"a binary workbook", compoundOf(stream{Name: "Workbook"}), "sheet.xls", "xls", 0},
		{"a workbook of Excel 95", compoundOf(stream{Name: "Book"}), "sheet.xls", "xls", 0},
		{"a deck of PowerPoint 95 and 97", compoundOf(stream{Name: "PP97_DUALSTORAGE"}), "deck.ppt", "ppt", 0},
		{"a document inside of something else", compoundOf(stream{Name: "WordDocument", Nested: true}), "text.doc", "", Contradiction},
		{"a mail", compoundOf(stream{Name: "__properties_version1.0"}), "mail.msg", "", Unsupported},

		{"a sealed deck", sealed, "deck.pptx", "pptx", 0},
		{"a sealed template", sealed, "sheet.xltx", "xltx", 0},
		{"a sealed document under the old name", sealed, "sheet.xls", "xlsx", 0},
		{"a sealed document under a name of OpenDocument", sealed, "text.odt", "docx", 0},
		{"a sealed document without an extension", sealed, "deck", "", Unrecognized},
		{"a sealed document named as plain text", sealed, "text.txt", "", Contradiction},
		{"a sealed document with macros", sealed, "text.docm", "docm", 0},
		{"a sealed drawing", sealed, "drawing.vsdx", "vsdx", 0},
		{"a sealed document named as drawing", sealed, "drawing.odg", "", Contradiction},

		{"an OpenDocument text", openDocument(t, format.OpenDocument+"text", plainManifest), "text.odt", "odt", 0},
		{"one that ends its type with a line", openDocument(t, format.OpenDocument+"text\r\n", plainManifest), "text.odt", "odt", 0},
		{"one that names itself only in the manifest", zipOf(t, part{"META-INF/manifest.xml", plainManifest}), "text.odt", "odt", 0},
		{"one without a manifest", zipOf(t, part{"mimetype", format.OpenDocument + "text"}), "text.odt", "odt", 0},
		{"an OpenDocument drawing", openDocument(t, format.OpenDocument+"graphics", plainManifest), "drawing.odg", "odg", 0},
		{"an OpenDocument template", openDocument(t, format.OpenDocument+"text-template", plainManifest), "text.ott", "ott", 0},
		{"an OpenDocument formula", openDocument(t, format.OpenDocument+"formula", plainManifest), "formula.odf", "", Unsupported},
		{"a drawing named as text", openDocument(t, format.OpenDocument+"graphics", plainManifest), "text.odt", "", Contradiction},
		{"a flat text", flat(format.OpenDocument + "text"), "text.fodt", "fodt", 0},
		{"a flat text named as XML", flat(format.OpenDocument + "text"), "text.xml", "fodt", 0},
		{"a flat text named as package", flat(format.OpenDocument + "text"), "text.odt", "fodt", 0},
		{"a flat text named as sheet", flat(format.OpenDocument + "text"), "text.ods", "", Contradiction},
		{"a flat sheet", flat(format.OpenDocument + "spreadsheet"), "sheet.fods", "fods", 0},
		{"a flat template", flat(format.OpenDocument + "presentation-template"), "deck.fodp", "fodp", 0},
		{"a flat formula", flat(format.OpenDocument + "formula"), "formula.xml", "", Unsupported},

		{"rich text", []byte(`{\rtf1 Hello}`), "text.rtf", "rtf", 0},
		{"rich text named as Word does", []byte(`{\rtf1 Hello}`), "text.doc", "rtf", 0},
		{"rich text named as sheet", []byte(`{\rtf1 Hello}`), "text.xls", "", Contradiction},

		{"text", []byte("Hello"), "text.txt", "txt", 0},
		{"text without an extension", []byte("Hello"), "README", "txt", 0},
		{"text with an unknown extension", []byte("Hello"), "README.md", "txt", 0},
		{"values", []byte("a,b\n1,2\n"), "values.csv", "csv", 0},
		{"text named as document", []byte("Hello"), "text.docx", "", Contradiction},
		{"text named as rich text", []byte("Hello"), "text.rtf", "", Contradiction},
		{"8-bit text named as text", []byte("Caf\xe9"), "text.txt", "txt", 0},
		{"8-bit text without an extension", []byte("Caf\xe9"), "text", "", Unrecognized},
		{"values that begin like a bitmap", []byte("BM,1\n"), "values.csv", "csv", 0},
		{"a PDF that could be text", pdfText, "report", "", Unsupported},
		{"a PDF that could be text, named so", pdfText, "report.txt", "txt", 0},
		{"HTML", html, "page.html", "html", 0},
		{"HTML under another extension", html, "page.htm", "html", 0},
		{"HTML without a name", html, "", "html", 0},
		{"HTML named as text", html, "page.txt", "txt", 0},
		{"HTML named as document", html, "page.doc", "html", 0},
		{"HTML named as workbook", html, "page.xls", "", Contradiction},
		{"HTML in UTF-16", []byte(utf16LE(string(html))), "page.html", "html", 0},
		{"HTML in eight bits", []byte("<html><body>Caf\xe9</body></html>"), "page.html", "html", 0},
		{"HTML without a beginning", []byte("Hello <b>world</b>"), "page.html", "html", 0},
		{"XHTML", []byte(`<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>`), "page.xhtml", "html", 0},
		{"a drawing named as page", svg, "page.html", "", Contradiction},
		{"an SVG image", svg, "image.svg", "svg", 0},
		{"an SVG image of Illustrator", []byte(illustrator), "image.svg", "svg", 0},
		{"an SVG image without a name", svg, "", "svg", 0},
		{"an SVG image named as text", svg, "image.txt", "txt", 0},
		{"XML of another kind", []byte(`<?xml version="1.0"?><feed/>`), "feed.xml", "", Unsupported},
		{"a drawing of Visio in one file", []byte(`<VisioDocument xmlns="http://schemas.microsoft.com/visio/2003/core"/>`), "a.vdx", "vdx", 0},

		{"an image", png, "image.png", "png", 0},
		{"an image of another kind", png, "image.jpg", "png", 0},
		{"an image named as deck", png, "deck.pptx", "", Contradiction},
		{"an image named as text", png, "text.txt", "", Contradiction},
		{"noise", noise, "deck.pptx", "", Unrecognized},
		{"noise named as text", noise, "text.txt", "", Unrecognized},
		{"noise without a name", noise, "", "", Unrecognized},

		{"an archive", zipOf(t, part{"a.txt", "a"}), "files.zip", "", Unsupported},
		{"an archive named as deck", zipOf(t, part{"a.txt", "a"}), "deck.pptx", "", Contradiction},
		{"an empty archive", zipOf(t), "files.zip", "", Unsupported},
		{"a book", zipOf(t, part{"mimetype", "application/epub+zip"}), "book.epub", "", Unsupported},
		{"a book under a foreign name", zipOf(t, part{"mimetype", "application/epub+zip"}), "book.xlsx", "", Contradiction},
		{"a drawing of Visio", packageOf(t, "vsdx"), "drawing.vsdx", "vsdx", 0},
		{"a drawing of Visio that names its part in Visio's way", zipOf(t, openXMLParts("main.xml", mainTypeOf(t, "vsdm"))[0], part{
			"_rels/.rels", `<Relationships><Relationship Type="` + officefile.VisioRelation + `" Target="main.xml"/></Relationships>`,
		}), "drawing.vsdm", "vsdm", 0},
		{"a binary drawing of Visio", compoundOf(stream{Name: "VisioDocument"}), "drawing.vsd", "vsd", 0},
		{"a document of Publisher", compoundOf(stream{Name: "Quill"}), "flyer.pub", "pub", 0},
		{"a text of Works 3", compoundOf(stream{Name: "MN0"}), "text.wps", "wps", 0},
		{"a text of Works 2000", compoundOf(stream{Name: "CONTENTS", Data: "CHNKWKS "}), "text.wps", "wps", 0},
		{"a text of WordPerfect", []byte("\xffWPC\x10\x00\x00\x00\x01\x0a\x02\x01"), "text.wpd", "wpd", 0},
		{"a macro of WordPerfect", []byte("\xffWPC\x10\x00\x00\x00\x01\x01\x02\x01"), "text.wpd", "", Unrecognized},

		{"a Keynote of 2009", zipOf(t, part{"index.apxl", "<x/>"}), "deck.key", "key", 0},
		{"a Keynote", zipOf(t, part{"Index/Document.iwa", iwa("\x01")}, part{"Index/Slide-1.iwa", "x"}), "deck.key", "key", 0},
		{"a Keynote, slides first", zipOf(t, part{"Index/MasterSlide.iwa", "x"}, part{"Index/Document.iwa", iwa("\x01")}), "", "key", 0},
		{"a Keynote in a directory", zipOf(t, part{"Deck.key/Index.zip", "x"}), "Deck.zip", "key", 0},
		{"a Keynote named as text", zipOf(t, part{"index.apxl", "<x/>"}), "text.docx", "", Contradiction},
		{"Numbers of 2009", zipOf(t, part{"index.xml", `<ls:document xmlns:ls="http://developer.apple.com/namespaces/ls"/>`}), "a.numbers", "numbers", 0},
		{"Numbers", zipOf(t, part{"Index/Document.iwa", iwa("\x01")}), "a.numbers", "numbers", 0},
		{"Pages of 2009", zipOf(t, part{"index.xml", `<sl:document xmlns:sl="http://developer.apple.com/namespaces/sl"/>`}), "a.pages", "pages", 0},
		{"Pages", zipOf(t, part{"Index/Document.iwa", iwa("\x90\x4e")}), "a.pages", "pages", 0},
		{"an index of something else", zipOf(t, part{"index.xml", "<x/>"}), "a.pages", "", Contradiction},
		{"an index in a directory of another name", zipOf(t, part{"a.exe/Index.zip", "x"}), "a.zip", "", Unsupported},
		{"a package of another kind", zipOf(t, openXMLParts("main.xml", "application/x-other")...), "deck.pptx", "", Contradiction},
		{"a package without types", zipOf(t, openXMLParts("main.xml", "")[1]), "deck.pptx", "", Contradiction},

		{"half a deck", half(t), "deck.pptx", "", Damaged},
		{"half a deck without a name", half(t), "", "", Damaged},
		{"half a binary deck", ppt[:512+100], "deck.ppt", "", Damaged},
		{"the first bytes of a binary deck", ppt[:100], "deck.ppt", "", Damaged},
	} {
		t.Run(c.does, func(t *testing.T) {
			t.Parallel()
			got, err := examine(t, c.data, c.filename)
			requireReason(t, c.reason, err)
			require.Equal(t, c.format, got.Format.ID)
			if prefix := DetectPrefix(t.Context(), c.data[:min(len(c.data), PrefixSize)], c.filename); c.reason == 0 {
				require.NoError(t, prefix)
			}
		})
	}
}

// TestDetectEncryption makes the traces of encryption of the formats of which no free sample is small enough.
func TestDetectEncryption(t *testing.T) {
	t.Parallel()

	fib := func(flags uint16) string {
		head := make([]byte, 512)
		binary.LittleEndian.PutUint16(head, 0xA5EC)
		binary.LittleEndian.PutUint16(head[10:], flags)
		return string(head)
	}
	user := func(token uint32) string {
		head := make([]byte, 20)
		binary.LittleEndian.PutUint32(head[12:], token)
		return string(head)
	}
	const (
		bof      = "\x09\x08\x10\x00\x00\x06\x05\x00\xbb\x0d\xcc\x07\x00\x00\x00\x00\x06\x00\x00\x00"
		filePass = "\x2f\x00\x06\x00\x00\x00\x4d\x0a\x92\x05"
		builtIn  = "\x2f\x00\x06\x00\x00\x00\x59\xb3\x0a\x9a" // as Excel writes it
		eof      = "\x0a\x00\x00\x00"
	)
	long := strings.Repeat("\x00", 4096) // puts the stream into sectors of its own
	for _, c := range []struct {
		does      string
		streams   []stream
		encrypted bool
	}{
		{"a plain text", []stream{{Name: "WordDocument", Data: fib(0)}}, false},
		{"an encrypted text", []stream{{Name: "WordDocument", Data: fib(0x0100)}}, true},
		{"an encrypted text of some length", []stream{{Name: "WordDocument", Data: fib(0x0100) + long}}, true},
		{"a text that is too short", []stream{{Name: "WordDocument", Data: fib(0x0100)[:8]}}, false},
		{"a plain workbook", []stream{{Name: "Workbook", Data: bof + eof}}, false},
		{"an encrypted workbook", []stream{{Name: "Workbook", Data: bof + filePass + eof}}, true},
		{"an encrypted workbook of some length", []stream{{Name: "Workbook", Data: bof + filePass + long}}, true},
		{"an encrypted workbook of Excel 95", []stream{{Name: "Book", Data: bof + filePass}}, true},
		{"a workbook with the built-in password", []stream{{Name: "Workbook", Data: bof + builtIn + long}}, false},
		{"a workbook of Excel 95 with it", []stream{{Name: "Book", Data: bof + "\x2f\x00\x04\x00\x59\xb3\x0a\x9a"}}, false},
		{"a workbook cut inside of its password", []stream{{Name: "Workbook", Data: bof + builtIn[:8]}}, true},
		{"a workbook with the number behind its end", []stream{{Name: "Workbook", Data: bof + eof + filePass}}, false},
		{"a workbook cut inside of a record", []stream{{Name: "Workbook", Data: bof[:10]}}, false},
		{"a plain deck", []stream{{Name: "PowerPoint Document"}, {Name: "Current User", Data: user(0xE391C05F)}}, false},
		{"an encrypted deck", []stream{{Name: "PowerPoint Document"}, {Name: "Current User", Data: user(0xF3D1C4DF)}}, true},
		{"an encrypted summary", []stream{{Name: "PowerPoint Document"}, {Name: "EncryptedSummary"}}, true},
	} {
		t.Run(c.does, func(t *testing.T) {
			t.Parallel()
			// Others before it, so that it does not lie at the beginning of everything.
			streams := append([]stream{{Name: "First", Data: "\x01CompObj"}, {Name: "Second", Data: long}}, c.streams...)
			got, err := examine(t, compoundOf(streams...), "")
			require.NoError(t, err)
			require.Equal(t, c.encrypted, got.Encrypted)
		})
	}
}

// TestDetectEncryptedOpenDocument: what LibreOffice asks a password for is encrypted, and nothing else.
func TestDetectEncryptedOpenDocument(t *testing.T) {
	t.Parallel()

	entry := func(path, mediaType string, encrypted bool) string {
		data := ""
		if encrypted {
			data = `<manifest:encryption-data manifest:checksum="…"/>`
		}
		return `<manifest:file-entry manifest:full-path="` + path + `" manifest:media-type="` + mediaType + `">` + data + `</manifest:file-entry>`
	}
	const text = format.OpenDocument + "text"
	for _, c := range []struct {
		does, mediaType string
		entries         []string
		encrypted       bool
	}{
		{"nothing", text, []string{entry("/", text, false), entry("content.xml", "text/xml", false)}, false},
		{"its content", text, []string{entry("/", text, false), entry("styles.xml", "text/xml", true), entry("content.xml", "text/xml", true)}, true},
		{"its content, said first", text, []string{entry("content.xml", "text/xml", true), entry("/", text, false)}, true},
		{"its macros alone", text, []string{entry("/", text, false), entry("Basic/Standard/Module1.xml", "text/xml", true)}, false},
		{"the whole package", text, []string{entry("/", text, false), entry("encrypted-package", text, true)}, true},
		{"the whole package, which alone says what it is", "", []string{entry("encrypted-package", text, true)}, true},
	} {
		t.Run(c.does, func(t *testing.T) {
			t.Parallel()
			parts := []part{{"META-INF/manifest.xml", "<manifest:manifest>" + strings.Join(c.entries, "") + "</manifest:manifest>"}}
			if c.mediaType != "" {
				parts = append([]part{{"mimetype", c.mediaType}}, parts...)
			}
			got, err := examine(t, zipOf(t, parts...), "text.odt")
			require.NoError(t, err)
			require.Equal(t, "odt", got.Format.ID)
			require.Equal(t, c.encrypted, got.Encrypted)
		})
	}
}

func TestDetectReadsPackagesAsOfficeDoes(t *testing.T) {
	t.Parallel()

	parts := openXMLParts("ppt/presentation.xml", "application/vnd.ms-powerpoint."+"presentation.macroEnabled.main+xml")
	for does, data := range map[string][]byte{
		"names of other case and with back slashes": zipOf(t, part{"[content_types].XML", parts[0][1]}, part{`_rels\.rels`, parts[1][1]}),
		"a main part named from the root":           zipOf(t, parts[0], part{"_rels/.rels", strings.Replace(parts[1][1], `="ppt/`, `="/ppt/`, 1)}),
		"a strict package": zipOf(t, parts[0], part{
			"_rels/.rels",
			strings.Replace(parts[1][1], relationships, "http://purl.oclc.org/ooxml/officeDocument/relationships", 1),
		}),
		"a type by extension": zipOf(t, part{
			"[Content_Types].xml",
			`<Types><Default Extension="XML" ContentType="` + "application/vnd.ms-powerpoint." + `presentation.macroEnabled.main+xml"/></Types>`,
		}, parts[1]),
		"types in UTF-16":  zipOf(t, part{"[Content_Types].xml", utf16LE(strings.Replace(parts[0][1], "UTF-8", "UTF-16", 1))}, parts[1]),
		"rubbish in front": append(zipOf(t, part{"a", "a"}), zipOf(t, parts...)...),
		"a comment at its end": func() []byte {
			data := bytes.Clone(zipOf(t, parts...))
			data[len(data)-2] = 5
			return append(data, "Hello"...)
		}(),
	} {
		t.Run(does, func(t *testing.T) {
			t.Parallel()
			got, err := examine(t, data, "deck.pptm")
			require.NoError(t, err)
			require.Equal(t, "pptm", got.Format.ID)
		})
	}
}

// TestDetectBounds detects documents that are expensive for a naive reader. The bounds themselves are in examine.
func TestDetectBounds(t *testing.T) {
	t.Parallel()

	parts := openXMLParts("main.xml", "application/x-other")
	spaces := strings.Repeat(" ", 8<<20)
	for does, data := range map[string][]byte{
		"types that inflate to 8 MiB":                zipOf(t, part{"[Content_Types].xml", "<Types>" + spaces + "</Types>"}, parts[1]),
		"relations that inflate":                     zipOf(t, parts[0], part{"_rels/.rels", "<Relationships>" + spaces}),
		"a directory of 3 MB":                        endlessDirectory(),
		"a directory that runs in a circle":          loopingCompound(),
		"a directory beyond the end":                 brokenCompound(48, 0x00FFFFFF),
		"a directory in a special sector":            brokenCompound(48, 0xFFFFFFFC),
		"no directory":                               brokenCompound(48, 0xFFFFFFFE),
		"an allocation table beyond the end":         brokenCompound(76, 0x00FFFFFF),
		"sectors of 2^31 bytes":                      brokenCompound(30, 31),
		"a table of tables that runs in a circle":    farCompound(t, 0),
		"a table of tables that lies beyond the end": farCompound(t, 0x00FFFFFF),
	} {
		t.Run(does, func(t *testing.T) {
			t.Parallel()
			_, err := examine(t, data, "")
			requireReason(t, Damaged, err)
		})
	}

	t.Run("entities are not expanded", func(t *testing.T) {
		t.Parallel()
		relationship := strings.ReplaceAll(parts[1][1], `"`, "'")
		relationship = relationship[strings.Index(relationship, "<Relationship "):strings.Index(relationship, "</")]
		_, err := examine(t, zipOf(t, parts[0], part{
			"_rels/.rels", `<!DOCTYPE a [<!ENTITY a "` + relationship + `">]><Relationships>&a;</Relationships>`,
		}), "")
		requireReason(t, Unsupported, err)
	})

	t.Run("one part that lies far behind is found", func(t *testing.T) {
		t.Parallel()
		noise := string(randomBytes(1 << 20))
		data := zipOf(t, append([]part{{"media", noise}}, openXMLParts("main.xml", mainTypeOf(t, "pptx"))...)...)
		c := &counter{ReaderAt: bytes.NewReader(data)}
		got, err := Detect(t.Context(), c, int64(len(data)), "deck.pptx")
		require.NoError(t, err)
		require.Equal(t, "pptx", got.Format.ID)
		require.EqualValues(t, 2, c.Reads.Load(), "the head and the tail")
	})
}

// TestDetectFarTable finds a directory that only the table of tables of the header leads to, as in files above 7 MB.
func TestDetectFarTable(t *testing.T) {
	t.Parallel()

	got, err := examine(t, farCompound(t, 1), "")
	require.NoError(t, err)
	require.Equal(t, "doc", got.Format.ID)
}

func TestDetectUnreadable(t *testing.T) {
	t.Parallel()

	data := append([]byte("PK\x03\x04"), make([]byte, 2*officefile.BlockSize)...)
	gone := errors.New("the store is gone")
	for does, c := range map[string]struct {
		source io.ReaderAt
		want   error
	}{
		"from the beginning":  {failing{bytes.NewReader(data), 0, gone}, gone},
		"after the head":      {failing{bytes.NewReader(data), 1, gone}, gone},
		"with less than said": {bytes.NewReader(data[:len(data)-1]), io.ErrUnexpectedEOF},
	} {
		t.Run(does, func(t *testing.T) {
			t.Parallel()
			_, err := Detect(t.Context(), c.source, int64(len(data)), "deck.odp")
			require.ErrorIs(t, err, c.want)
			var refusal *Refusal
			require.NotErrorAs(t, err, &refusal, "the document is not the cause")
		})
	}
}

func TestDetectPrefix(t *testing.T) {
	t.Parallel()

	long := strings.Repeat("x", PrefixSize)
	for _, c := range []struct {
		does     string
		head     string
		filename string
		reason   Reason
	}{
		{"a package is seen whole", "PK\x03\x04" + long, "deck.docx", 0},
		{"a compound file is seen whole", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + long, "text.txt", 0},
		{"text", long, "text.txt", 0},
		{"text named as deck", long, "deck.pptx", Contradiction},
		{"rich text", `{\rtf1` + long, "text.rtf", 0},
		{"rich text named as deck", `{\rtf1` + long, "deck.pptx", Contradiction},
		{"an image named as deck", "\x89PNG\r\n\x1a\n" + long, "deck.pptx", Contradiction},
		{"an image", "\x89PNG\r\n\x1a\n" + long, "image.png", 0},
		{"a film", "\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska" + long, "film.mkv", Unsupported},
		{"noise", string(randomBytes(PrefixSize)), "deck.pptx", Unrecognized},
		{"zeros", strings.Repeat("\x00", PrefixSize), "deck.pptx", Unrecognized},
		{"a root that does not end in the head", `<?xml version="1.0"?><!--` + long, "text.fodt", 0},
		{"a character cut by the end", long + "\xe2\x82", "text", 0},
		{"a small document", "Hello", "text.docx", Contradiction},
		{"a small package", "PK\x03\x04", "deck.pptx", Damaged},
		{"nothing", "", "deck.pptx", Empty},
	} {
		t.Run(c.does, func(t *testing.T) {
			t.Parallel()
			requireReason(t, c.reason, DetectPrefix(t.Context(), []byte(c.head), c.filename))
		})
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()

	_, err := examine(t, sample(t, "synth-png-named.pptx"), "deck.PPTX")
	var refusal *Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, Refusal{
		Reason: Contradiction, Extension: "pptx", Content: "PNG image", MediaType: "image/png",
	}, *refusal)
	require.EqualError(t, refusal, "The name ends in .pptx, but the content is something else: PNG image.")

	for reason := Empty; reason <= TooComplex; reason++ {
		require.NotContains(t, reason.String(), "Reason(")
		require.NotEmpty(t, (&Refusal{Reason: reason}).Error())
	}
}

func BenchmarkDetect(b *testing.B) {
	for _, file := range []string{
		"open-xml-sdk__AllSlidesConverterTC.pptx", "aspose.slides-for-.net__Print.ppt", "odftoolkit__Presentation7.odp",
	} {
		b.Run(file, func(b *testing.B) {
			data := sample(b, file)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Detect(b.Context(), bytes.NewReader(data), int64(len(data)), file); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func requireReason(tb testing.TB, reason Reason, err error) {
	tb.Helper()
	if reason == 0 {
		require.NoError(tb, err)
		return
	}
	var refusal *Refusal
	require.ErrorAs(tb, err, &refusal)
	require.Equal(tb, reason.String(), refusal.Reason.String(), err.Error())
}

// iwa is the beginning of the first archive of an iWork document, whose first message has a type.
func iwa(kind string) string {
	return "\x00\xdf\x10\x00\x93\x36\xf0\x4e\x23\x08\x01\x12\x1f\x08" + kind + "\x12\x03"
}

func flat(mediaType string) []byte {
	return []byte(`<?xml version="1.0" encoding="UTF-8"?>` +
		`<office:document xmlns:office="` + officeSpace + `" office:mimetype="` + mediaType + `"/>`)
}

// endlessDirectory returns an archive of nothing but a directory, of 65,536 entries without a name.
func endlessDirectory() []byte {
	entry := append([]byte("PK\x01\x02"), make([]byte, 42)...)
	end := append([]byte("PK\x05\x06"), make([]byte, 18)...)
	directory := bytes.Repeat(entry, 1<<16)
	binary.LittleEndian.PutUint32(end[12:], uint32(len(directory)))
	data := append([]byte("PK\x03\x04"), directory...)
	binary.LittleEndian.PutUint32(end[16:], 4)
	return append(data, end...)
}

// brokenCompound returns a compound file with one number of its header changed.
func brokenCompound(offset int, value uint32) []byte {
	data := compoundOf(stream{Name: "WordDocument", Data: "…"})
	binary.LittleEndian.PutUint32(data[offset:], value)
	return data
}

// loopingCompound returns a compound file whose directory goes on with itself.
func loopingCompound() []byte {
	data := compoundOf(stream{Name: "WordDocument", Data: "…"})
	binary.LittleEndian.PutUint32(data[512+4:], 1)
	return data
}

// farCompound returns a compound file of 7 MB whose directory lies behind all that the header's table covers. The table
// of tables is sector 1 if first is 1; otherwise it is what first says.
func farCompound(tb testing.TB, first uint32) []byte {
	tb.Helper()
	le := binary.LittleEndian
	const covered = 109 * 512 / 4
	small := compoundOf(stream{Name: "WordDocument", Data: "…"})
	data := make([]byte, (covered+2)*512)
	copy(data, small[:512])
	sector := func(n int) []byte { return data[(n+1)*512:][:512] }
	copy(sector(covered), small[2*512:]) // the directory
	le.PutUint32(data[48:], covered)
	le.PutUint32(data[68:], first)
	for i := 0; i < 512; i += 4 {
		le.PutUint32(sector(1)[i:], 0xFFFFFFFF) // the table of tables
	}
	le.PutUint32(sector(1), 2)
	le.PutUint32(sector(2), 0xFFFFFFFE) // the table that covers the directory
	return data
}

// failing is a source whose reads fail, after a number of them.
type failing struct {
	io.ReaderAt
	from int
	err  error
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if f.from == 0 || off > 0 {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off) //nolint:wrapcheck // a test's source
}
