package preflight_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/services/converter/internal/preflight"
)

const testdata = "../../../../testdata/"

func look(t testing.TB, content []byte, id string) preflight.Findings {
	t.Helper()
	return preflight.Scan(t.Context(), bytes.NewReader(content), int64(len(content)), format.Format{ID: id})
}

// names writes fonts as they are found: secondary ones in parentheses, embedded ones with a star.
func names(found preflight.Findings) []string {
	var all []string
	for _, font := range found.Fonts {
		name := font.Name
		if font.Embedded {
			name += "*"
		}
		if font.Secondary {
			name = "(" + name + ")"
		}
		all = append(all, name)
	}
	return all
}

// packed makes a package of pairs of names and contents.
func packed(t testing.TB, entries ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := 0; i+1 < len(entries); i += 2 {
		part, err := w.Create(entries[i])
		require.NoError(t, err)
		_, err = part.Write([]byte(entries[i+1]))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestRealDocuments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file  string
		fonts []string
		want  preflight.Findings
	}{
		{file: "aspose.slides-for-.net__HiddingSlides.pptx", fonts: []string{"(Arial)", "Calibri", "Calibri Light"}},
		{file: "synth-deck.ppsx", fonts: []string{"Arial", "(DejaVu Sans)", "(Symbol)", "Times New Roman", "(Wingdings)"}},
		{file: "gembox.presentation.examples__SampleVba.pptm", fonts: []string{"(Arial)", "Calibri", "Calibri Light"}, want: preflight.Findings{Macros: true}},
		{file: "open-xml-sdk__FilterByCF.xlsx", fonts: []string{"Calibri", "Cambria"}},
		{file: "docling__equations.docx", fonts: []string{"Aptos", "Aptos Display", "(Arial)", "Cambria Math", "(Courier New)", "(Symbol)", "Times New Roman", "(Wingdings)"}},
		{file: "odftoolkit__Presentation7.odp", fonts: []string{"Albany", "Arial", "(Arial Unicode MS)", "(HG Mincho Light J)", "StarSymbol", "(Tahoma)", "Thorndale", "(宋体)"}},
		{file: "officeimo__SampleFileRTF.rtf", fonts: []string{"DejaVu Sans", "Liberation Sans", "Liberation Serif", "Open Sans", "OpenSymbol", "Symbol"}},
		{file: "synth-lfi-linked-section.fodt", want: preflight.Findings{
			Links: []string{"file:///etc/passwd", "http://127.0.0.1:9/section.odt", "http://127.0.0.1:9/linked.png"}, LinksTotal: 3,
		}},
		{file: "synth-lfi-file-picture.pptx", fonts: []string{"Calibri"}, want: preflight.Findings{Links: []string{"file:///tmp/canary.png"}, LinksTotal: 1}},
		{file: "docling__legacy_sample.doc", fonts: []string{"Arial", "Cambria Math", "Courier New", "(Symbol)", "Times New Roman", "(Wingdings)"}},
		{file: "aspose.slides-for-.net__Print.ppt", fonts: []string{"Arial", "Calibri"}},
		{file: "synth-table.xls", fonts: []string{"Arial"}},
		{file: "msoffcrypto-tool__rc4cryptoapi_password.ppt"},
		{file: "unoserver__simple.encrypted.odt"},
		{file: "excelize__encryptSHA512.xlsx"},
		{file: "synth-png-named.pptx"},
		{file: "synth-letter.txt"},
		{file: "synth-table.csv"},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(testdata + c.file)
			require.NoError(t, err)
			found := look(t, content, c.file[strings.LastIndexByte(c.file, '.')+1:])
			require.Equal(t, c.fonts, names(found))
			found.Fonts = nil
			c.want.Characters = found.Characters // see TestCharacters
			require.Equal(t, c.want, found)
		})
	}
}

func TestOfficeOpenXML(t *testing.T) {
	t.Parallel()
	found := look(t, packed(t,
		"[Content_Types].xml", "<Types/>",
		`WORD\Document.xml`, `<w:document><!-- <w:rFonts w:ascii="Commented"/> --><w:rFonts w:ascii='A "quoted" > name' w:hAnsi="A&amp;B" w:cs="Cs" w:eastAsia="明朝" w:x='>" > "'/><w:rFonts w:ascii="cs"/></w:document>`,
		"word/fontTable.xml", `<w:fonts><w:font w:name="Unused"/><w:font w:name="Own"><w:embedRegular r:id="1"/></w:font></w:fonts>`,
		"word/theme/theme1.xml", `<a:minorFont><a:latin typeface="Theme"/><a:ea typeface=""/><a:cs typeface="+mn-cs"/><a:font script="Jpan" typeface="Listed"/></a:minorFont>`,
		"word/_rels/document.xml.rels", `<Relationships>
			<Relationship Id="1" Type="http://x/hyperlink" Target="http://h.example/" TargetMode="External"/>
			<Relationship Id="2" Type="http://x/image" Target="http://user:s3cret@h.example/a.png" TargetMode="External"/>
			<Relationship Id="3" Type="http://x/image" Target="http://h.example/a.png" TargetMode='External'/>
			<Relationship Id="4" Type="http://x/image" Target="media/image1.png"/>
			<Relationship Id="5" Type="http://x/attachedTemplate" Target="file:///C:\\Normal.dotm" TargetMode="External"/>
		</Relationships>`,
		"docProps/app.xml", `<x><a:latin typeface="Property"/></x>`,
		"word/vbaProject.bin", "x",
	), "docx")
	require.Equal(t, []string{`A "quoted" > name`, "A&B", "Cs", "(Own*)", "Theme", "(明朝)"}, names(found))
	require.Equal(t, []string{"http://h.example/a.png", `file:///C:\\Normal.dotm`}, found.Links)
	require.Equal(t, 2, found.LinksTotal, "each once")
	require.True(t, found.Macros)

	found = look(t, packed(t, "[Content_Types].xml", "<Types/>",
		"xl/styles.xml", `<font><name val="Sheet"/></font>`, "xl/sharedStrings.xml", `<rFont val="Rich"/>`,
		"xl/worksheets/sheet1.xml", `<x><a:latin typeface="Cell"/></x>`, "xl/macrosheets/sheet1.xml", "<x/>",
		"ppt/presentation.xml", `<p:embeddedFont><p:font typeface="Deck"/></p:embeddedFont>`), "xlsx")
	require.Equal(t, []string{"(Deck*)", "Rich", "Sheet"}, names(found))
	require.True(t, found.Macros)
}

func TestOpenDocument(t *testing.T) {
	t.Parallel()
	content := `<office:document-content>
		<style:font-face style:name="F1" svg:font-family="&apos;Two Words&apos;"/><style:font-face style:name="F2" svg:font-family="Unused"/>
		<style:font-face style:name="F3" svg:font-family="Own, Other"><svg:font-face-src><svg:font-face-uri xlink:href="Fonts/f.ttf"/></svg:font-face-src></style:font-face>
		<style:text-properties style:font-name="F1" style:font-name-asian="F3" fo:font-family="Direct;Second" style:font-family-complex="Complex"/>
		<text:a xlink:href="http://hyper.example/"/><draw:a xlink:href="http://hyper.example/"/>
		<draw:image xlink:href="Pictures/1.png"/><draw:image xlink:href="../outside.png"/><draw:image xlink:href="https://i.example/1.png"/>
		<draw:object xlink:href="./Object 1"/><text:section-source xlink:href="/etc/passwd"/><draw:image xlink:href="data:image/png;base64,AAAA"/>
		<office:dde-source office:dde-application="soffice" office:dde-topic="t.ods" office:dde-item="A1"/>
		<script:event-listener xlink:href="vnd.sun.star.script:Standard.M.X"/>
	</office:document-content>`
	found := look(t, packed(t, "mimetype", "application/vnd.oasis.opendocument.text", "content.xml", content, "Basic/Standard/script-lb.xml", ""), "odt")
	require.Equal(t, []string{"(Complex)", "Direct", "(Own*)", "Two Words"}, names(found))
	require.Equal(t, []string{"../outside.png", "https://i.example/1.png", "/etc/passwd", "dde:soffice|t.ods!A1"}, found.Links)
	require.False(t, found.Macros, "an empty library")
	for _, module := range []string{"Basic/Standard/Module1.xml", "Scripts/python/a.py"} {
		require.True(t, look(t, packed(t, "content.xml", "<x/>", module, "x"), "odt").Macros, module)
	}
	flat := look(t, []byte(`<?xml version="1.0"?><office:document><ooo:module ooo:name="M"/><draw:image xlink:href="beside.png"/></office:document>`), "fodt")
	require.True(t, flat.Macros)
	require.Equal(t, []string{"beside.png"}, flat.Links, "a file of its own has nothing inside")
}

func TestRichText(t *testing.T) {
	t.Parallel()
	found := look(t, []byte(`{\rtf1\ansi\deff2{\fonttbl{\f0\froman\fcharset0{\*\panose 02}Times New Roman{\*\falt Tms};}{\f1 Unused;}`+
		`{\f2\fswiss D\'fcrer;}{\f30\fnil Thirty;}}{\stylesheet{\f30 Normal;}}\f0 text \'f1 {\field x}}`), "rtf")
	require.Equal(t, []string{"Dürer", "Thirty", "Times New Roman"}, names(found))
	require.Empty(t, names(look(t, []byte(`{\rtf1{\fonttbl{\f0 Open`), "rtf")))
}

func TestWebPage(t *testing.T) {
	t.Parallel()
	found := look(t, []byte(`<html><a href="http://hyper.example/">x</a><img src="http://i.example/1.png"><IMG SRC=beside.png>
		<link rel=stylesheet href="//c.example/s.css"><img src="data:image/png;base64,AA"><font face="Verdana, Arial">x</font>`), "html")
	require.Equal(t, []string{"Verdana"}, names(found))
	require.Equal(t, []string{"http://i.example/1.png", "beside.png", "//c.example/s.css"}, found.Links)
}

func TestAddressesAreFitToBeShown(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"http://user:pass@host/a":              "http://host/a",
		"ftp://a@b@host":                       "ftp://host",
		`\\user:pass@server\share\x.png`:       `\\server\share\x.png`,
		"//user@host/x":                        "//host/x",
		"http:user:pass@host":                  "http:host",
		"file:///tmp/a@b/c":                    "file:///tmp/a@b/c",
		"/tmp/a@b":                             "/tmp/a@b",
		`C:\a@b`:                               `C:\a@b`,
		"https://host/a@b?c@d":                 "https://host/a@b?c@d",
		"smb:user@host/x":                      "smb:host/x",
		"http://h/\x01\u0085x\xff":             "http://h/x",
		"http://h/" + strings.Repeat("é", 300): "http://h/" + strings.Repeat("é", 246) + "…",
	} {
		found := look(t, packed(t, "content.xml", `<draw:image xlink:href="`+address+`"/>`), "odt")
		require.Equal(t, []string{want}, found.Links, address)
	}
}

func TestCharacterSets(t *testing.T) {
	t.Parallel()
	text := `<?xml version="1.0" encoding="UTF-16"?><x fo:font-family="Größe"/>`
	wide := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	require.Equal(t, []string{"Größe"}, names(look(t, packed(t, "content.xml", string(wide)), "odt")))
}

// TestBounds: invented names are cut to what a report can list, and cost no more.
func TestBounds(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&many, `<a:latin typeface="Font %04d"/><x xlink:href="http://h/%d"/>`, i, i)
	}
	found := look(t, packed(t, "content.xml", strings.ReplaceAll(many.String(), `a:latin typeface`, "x fo:font-family")), "odt")
	require.Len(t, found.Fonts, 100)
	require.True(t, slices.IsSortedFunc(found.Fonts, func(a, b preflight.Font) int { return strings.Compare(a.Name, b.Name) }))
	require.Len(t, found.Links, 20)
	require.Equal(t, 2000, found.LinksTotal, "counted up to the limit")

	for name, content := range map[string]string{
		"a tag without end":      "<x a='" + strings.Repeat("a", 1<<20),
		"only tags":              strings.Repeat("<x>", 2<<20),
		"entities":               `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x fo:font-family="&b;"/>`,
		"a comment without end":  "<!--" + strings.Repeat("-", 1<<20),
		"half a tag":             "<x fo:font-family",
		"a value without quotes": "<x fo:font-family=a/>",
		"only brackets":          strings.Repeat("<", 1<<20),
		"brackets in values":     "<x a='" + strings.Repeat(`'">"">">'`, 1<<17) + "'/>",
		"a long name":            `<x fo:font-family="` + strings.Repeat("n", 65) + `"/>`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := look(t, packed(t, "content.xml", content), "odt")
			require.LessOrEqual(t, len(found.Fonts), 1)
			require.Empty(t, found.Links)
		})
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	deck, err := os.ReadFile(testdata + "sample.pptx")
	require.NoError(t, err)
	require.Empty(t, preflight.Scan(ctx, bytes.NewReader(deck), int64(len(deck)), format.Format{ID: "pptx"}).Fonts)
}

func FuzzScan(f *testing.F) {
	for _, name := range []string{"synth-lfi-linked-section.fodt", "synth-lfi-file-picture.pptx", "officeimo__SampleFileRTF.rtf", "docling__legacy_sample.doc", "synth-table.xls", "aspose.slides-for-.net__Print.ppt"} {
		content, err := os.ReadFile(testdata + name)
		require.NoError(f, err)
		f.Add(content, "html")
		f.Add(content[:len(content)/2], "fodt")
	}
	f.Add(packed(f, "[Content_Types].xml", "<Types/>", "word/document.xml", "<w:t>회의 &#x0; </w:t>"), "docx")
	f.Fuzz(func(t *testing.T, content []byte, id string) {
		found := look(t, content, id)
		require.True(t, slices.IsSorted(found.Characters))
		require.Len(t, slices.Compact(slices.Clone(found.Characters)), len(found.Characters))
		require.NotContains(t, found.Characters, utf8.RuneError)
		preflight.ScriptOf(t.Context(), bytes.NewReader(content), int64(len(content)))
		require.LessOrEqual(t, len(found.Fonts), 100)
		require.LessOrEqual(t, len(found.Links), 20)
		for _, link := range found.Links {
			require.True(t, utf8.ValidString(link))
			require.LessOrEqual(t, utf8.RuneCountInString(link), 256)
		}
		for _, font := range found.Fonts {
			require.True(t, utf8.ValidString(font.Name) && font.Name != "")
		}
	})
}

// BenchmarkScan measures what a scan costs.
func BenchmarkScan(b *testing.B) {
	for _, name := range []string{"docling__equations.docx", "open-xml-sdk__AllSlidesConverterTC.pptx", "odftoolkit__Presentation7.odp", "sample.pptx", "synth-table.xlsx"} {
		b.Run(name, func(b *testing.B) {
			content, err := os.ReadFile(testdata + name)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				look(b, content, "")
			}
		})
	}
}
