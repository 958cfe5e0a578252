package libreoffice

import (
	"archive/zip"
	"bytes"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

// requestTo is requestFor for another target than PDF.
func requestTo(t *testing.T, content []byte, id, to string) engine.Request {
	t.Helper()
	request := requestFor(t, content, id)
	target, found := request.Format.Target(to)
	require.True(t, found, to)
	require.Equal(t, format.Written, target.Kind)
	request.Target = target
	return request
}

// convertTo returns the content of a result.
func convertTo(t *testing.T, e *Engine, content []byte, id, to string) []byte {
	t.Helper()
	output, err := e.Convert(t.Context(), requestTo(t, content, id, to))
	require.NoError(t, err)
	result, err := os.ReadFile(output.Path)
	require.NoError(t, err)
	return result
}

// TestEveryTarget converts to each target of a family, and the result to PDF, which must have the same text. A target
// that is not a format of documents must contain the text itself.
func TestEveryTarget(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for _, c := range []struct {
		file, format, text string
		pages              int
	}{
		{"synth-deck.potx", "potx", "deck in, PDF out", 2},
		{"aspose.slides-for-.net__Print.ppt", "ppt", "", 2},
		{"synth-letter.odt", "odt", "Привет", 1},
		{"docling__legacy_sample.doc", "doc", "Swimming", flowing},
		{"synth-table.xlsx", "xlsx", "Київ", 1},
		{"synth-table.csv", "csv", "München", 1},
		{"tika__testVISIO_text.vsdx", "vsdx", "Router", 1},
		{"tika__testWEBP.webp", "webp", "", 1},
		{"tika__testPagesLayout.pages", "pages", "", flowing},
	} {
		from, _ := format.ByID(c.format)
		for target := range from.Targets() {
			if target.Kind != format.Written || target.ID == "pdf" {
				continue
			}
			t.Run(c.file+" to "+target.ID, func(t *testing.T) {
				t.Parallel()
				request := requestTo(t, read(t, c.file), c.format, target.ID)
				output, err := e.Convert(t.Context(), request)
				require.NoError(t, err)
				require.Zero(t, output.Pages)
				result, err := os.ReadFile(output.Path)
				require.NoError(t, err)
				requireAlone(t, output.Path)
				if _, taken := format.ByID(target.ID); !taken {
					require.Contains(t, unpacked(t, result), c.text)
					return
				}
				again, err := e.Convert(t.Context(), requestFor(t, result, target.ID))
				require.NoError(t, err)
				if c.pages != flowing {
					require.Equal(t, c.pages, again.Pages)
				}
				require.Contains(t, pdfText(t, again.Path), c.text)
			})
		}
	}
}

// unpacked returns the content of a file, or of all files in it if it is a package.
func unpacked(t *testing.T, content []byte) string {
	t.Helper()
	if !bytes.HasPrefix(content, []byte("PK")) {
		return string(content)
	}
	var all strings.Builder
	for _, name := range partsOf(t, content) {
		if !strings.HasSuffix(name, "/") {
			all.Write(partOf(t, content, name))
		}
	}
	return all.String()
}

// requireAlone checks that the result is a single file.
func requireAlone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	for _, entry := range entries {
		if name := entry.Name(); name != filepath.Base(path) && strings.HasPrefix(name, "result") {
			require.Equal(t, filepath.Base(path), name+".fixed", "a result in several files")
		}
	}
}

func TestTextualTargets(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	require.Equal(t, "Docmill\n\nA plain text in UTF-8: Grüße, Привет, 你好, €.\n",
		string(convertTo(t, e, read(t, "synth-letter.odt"), "odt", "txt")))
	require.Equal(t, "city,inhabitants,note\nMünchen,1512491,with; semicolon\nКиїв,2952301,\n",
		string(convertTo(t, e, read(t, "synth-table.xlsx"), "xlsx", "csv")))
	page := string(convertTo(t, e, read(t, "docling__legacy_sample.doc"), "doc", "html"))
	require.Contains(t, page, "<!DOCTYPE html>")
	require.Contains(t, page, `<img src="data:image/`)
	require.Equal(t, strings.Count(page, "src="), strings.Count(page, `src="data:`), "all images are in the page")
}

// TestWebPagesBecomeTexts checks that OpenDocument files made from HTML are texts: LibreOffice has a type of its own
// for them.
func TestWebPagesBecomeTexts(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	const page = "<!DOCTYPE html><html><body><h1>Hello</h1><p>world</body></html>"
	letter := convertTo(t, e, []byte(page), "html", "odt")
	require.Equal(t, "application/vnd.oasis.opendocument.text", string(partOf(t, letter, "mimetype")))
	require.NotContains(t, string(partOf(t, letter, "META-INF/manifest.xml")), "text-web")
	for _, to := range []string{"odt", "docx", "doc", "rtf", "html"} {
		again, err := e.Convert(t.Context(), requestFor(t, convertTo(t, e, []byte(page), "html", to), to))
		require.NoError(t, err)
		require.Contains(t, pdfText(t, again.Path), "Hello")
	}
}

// edit changes the entries of a package.
func edit(t *testing.T, archive []byte, change func(name string, content []byte) []byte) []byte {
	t.Helper()
	from, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	require.NoError(t, err)
	var out bytes.Buffer
	to := zip.NewWriter(&out)
	for _, entry := range from.File {
		if entry.Name == "mimetype" {
			store(t, to, entry.Name, change(entry.Name, partOf(t, archive, entry.Name)))
			continue
		}
		part, err := to.CreateHeader(&zip.FileHeader{Name: entry.Name, Method: zip.Deflate})
		require.NoError(t, err)
		if entry.FileInfo().IsDir() {
			continue
		}
		_, err = part.Write(change(entry.Name, partOf(t, archive, entry.Name)))
		require.NoError(t, err)
	}
	require.NoError(t, to.Close())
	return out.Bytes()
}

// store adds an entry uncompressed and without the data descriptor of CreateHeader, as LibreOffice 25.2 requires it of
// mimetype.
func store(t *testing.T, to *zip.Writer, name string, content []byte) {
	t.Helper()
	size := uint64(len(content))
	part, err := to.CreateRaw(&zip.FileHeader{
		Name: name, CRC32: crc32.ChecksumIEEE(content), CompressedSize64: size, UncompressedSize64: size,
	})
	require.NoError(t, err)
	_, err = part.Write(content)
	require.NoError(t, err)
}

func partOf(t *testing.T, archive []byte, name string) []byte {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	require.NoError(t, err)
	part, err := r.Open(name)
	require.NoError(t, err)
	defer part.Close()
	content, err := io.ReadAll(part)
	require.NoError(t, err)
	return content
}

func partsOf(t *testing.T, archive []byte) []string {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	require.NoError(t, err)
	var names []string
	for _, entry := range r.File {
		names = append(names, entry.Name)
	}
	return names
}

// TestMacrosAreRemoved checks that no macros of Microsoft's formats are in results: LibreOffice would translate them to
// Basic and keep the original, too.
func TestMacrosAreRemoved(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	deck := read(t, "gembox.presentation.examples__SampleVba.pptm")
	for _, to := range []string{"pptx", "odp"} {
		for _, part := range partsOf(t, convertTo(t, e, deck, "pptm", to)) {
			require.NotRegexp(t, "(?i)vba|basic|script", part)
		}
	}
	// Streams of a binary document are named in UTF-16.
	require.NotContains(t, string(convertTo(t, e, deck, "pptm", "ppt")), "V\x00B\x00A\x00")
	require.NotContains(t, string(convertTo(t, e, deck, "pptm", "ppt")), "Attribut\x00e VB_Nam")
}

// TestOpenDocumentMacrosAreRemoved checks that no target of a text keeps its macros.
func TestOpenDocumentMacrosAreRemoved(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	letter := withBasic(t, read(t, "synth-letter.odt"))
	odt, _ := format.ByID("odt")
	for target := range odt.Targets() {
		if target.Kind != format.Written || target.ID == format.TargetPDF {
			continue
		}
		t.Run(target.ID, func(t *testing.T) {
			t.Parallel()
			result := convertTo(t, e, letter, "odt", target.ID)
			require.NotContains(t, unpacked(t, result), "Sub Main")
			if target.ID != "odt" {
				return
			}
			for _, part := range partsOf(t, result) {
				require.NotRegexp(t, "^(Basic|Scripts)", part)
			}
			require.NotContains(t, string(partOf(t, result, "META-INF/manifest.xml")), "Basic")
			again, err := e.Convert(t.Context(), requestFor(t, result, "odt"))
			require.NoError(t, err)
			require.Contains(t, pdfText(t, again.Path), "Grüße")
		})
	}
}

// withBasic adds a library with one macro to an OpenDocument package.
func withBasic(t *testing.T, archive []byte) []byte {
	t.Helper()
	const head = `<?xml version="1.0" encoding="UTF-8"?>`
	added := map[string]string{
		"Basic/script-lc.xml":          head + `<library:libraries xmlns:library="http://openoffice.org/2000/library"><library:library library:name="Standard" library:link="false"/></library:libraries>`,
		"Basic/Standard/script-lb.xml": head + `<library:library xmlns:library="http://openoffice.org/2000/library" library:name="Standard" library:readonly="false" library:passwordprotected="false"><library:element library:name="M"/></library:library>`,
		"Basic/Standard/M.xml":         head + `<script:module xmlns:script="http://openoffice.org/2000/script" script:name="M" script:language="StarBasic">Sub Main: End Sub</script:module>`,
	}
	rows := ""
	for name := range added {
		rows += `<manifest:file-entry manifest:full-path="` + name + `" manifest:media-type="text/xml"/>`
	}
	listed := edit(t, archive, func(name string, content []byte) []byte {
		if name == "META-INF/manifest.xml" {
			return bytes.Replace(content, []byte("</manifest:manifest>"), []byte(rows+"</manifest:manifest>"), 1)
		}
		return content
	})
	from, err := zip.NewReader(bytes.NewReader(listed), int64(len(listed)))
	require.NoError(t, err)
	var out bytes.Buffer
	to := zip.NewWriter(&out)
	for _, entry := range from.File {
		require.NoError(t, to.Copy(entry))
	}
	for name, content := range added {
		part, err := to.Create(name)
		require.NoError(t, err)
		_, err = part.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, to.Close())
	return out.Bytes()
}

// TestEncryptionIsRemoved checks that the result of an encrypted document is not encrypted.
func TestEncryptionIsRemoved(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for _, c := range []struct{ file, format, password, to string }{
		{"unoserver__simple.encrypted.odt", "odt", "password", "odt"},
		{"unoserver__simple.encrypted.odt", "odt", "password", "docx"},
		{"excelize__encryptSHA512.xlsx", "xlsx", "password", "xlsx"},
		{"gembox.presentation.examples__PptxEncryption.pptx", "pptx", "inpass", "pptx"},
		{"gembox.presentation.examples__PptxEncryption.pptx", "pptx", "inpass", "ppt"},
	} {
		t.Run(c.file+" to "+c.to, func(t *testing.T) {
			t.Parallel()
			request := requestTo(t, read(t, c.file), c.format, c.to)
			request.Password = &c.password
			output, err := e.Convert(t.Context(), request)
			require.NoError(t, err)
			result, err := os.ReadFile(output.Path)
			require.NoError(t, err)
			_, err = e.Convert(t.Context(), requestFor(t, result, c.to))
			require.NoError(t, err)
		})
	}
}

// TestLinksStayLinks checks that linked content does not become part of the result.
func TestLinksStayLinks(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	page := string(convertTo(t, e, read(t, "gotenberg__libreoffice-linked-external.fodt"), "fodt", "html"))
	require.Less(t, len(page), 2000)
	letter := convertTo(t, e, read(t, "gotenberg__libreoffice-linked-external.fodt"), "fodt", "odt")
	for _, part := range partsOf(t, letter) {
		require.NotRegexp(t, "^Pictures/.", part)
	}
}

// TestRelativeLinksStayRelative checks that relative links still lead to files beside the document after a conversion.
func TestRelativeLinksStayRelative(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	letter := edit(t, read(t, "synth-letter.odt"), func(name string, content []byte) []byte {
		if name != "content.xml" {
			return content
		}
		return bytes.Replace(content, []byte("Docmill"), []byte(`<text:a xmlns:xlink="http://www.w3.org/1999/xlink" xlink:type="simple" xlink:href="../beside.odt">Docmill</text:a>`), 1)
	})
	require.Contains(t, string(convertTo(t, e, letter, "odt", "html")), `href="beside.odt"`)
	require.Contains(t, string(partOf(t, convertTo(t, e, letter, "odt", "docx"), "word/_rels/document.xml.rels")), `Target="beside.odt"`)
	require.Contains(t, string(partOf(t, convertTo(t, e, letter, "odt", "odt"), "content.xml")), `href="../beside.odt"`)
	output, err := e.Convert(t.Context(), requestFor(t, letter, "odt"))
	require.NoError(t, err)
	plain, err := exec.Command("qpdf", "--qdf", output.Path, "-").Output()
	require.NoError(t, err)
	require.Contains(t, string(plain), "(beside.odt)")
}

func TestPageRange(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	request := requestFor(t, read(t, "odftoolkit__Presentation7.odp"), "odp")
	request.Options = &conversionv1.Options{Pages: new("2-4,99-")}
	output, err := e.Convert(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, 5, output.Pages)
}

// replaceOnce replaces the first occurrence of a string, which must be there.
func replaceOnce(t *testing.T, content []byte, before, after string) []byte {
	t.Helper()
	require.Contains(t, string(content), before)
	return bytes.Replace(content, []byte(before), []byte(after), 1)
}
