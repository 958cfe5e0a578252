package libreoffice

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

func TestEveryFormat(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for _, c := range []struct {
		file, format string
		pages        int
		text         string
	}{
		{"open-xml-sdk__AllSlidesConverterTC.pptx", "pptx", 5, ""},
		{"gembox.presentation.examples__SampleVba.pptm", "pptm", 1, ""},
		{"aspose.slides-for-.net__Print.ppt", "ppt", 2, ""},
		{"aspose.slides-for-.net__Print.ppt", "pps", 2, ""},
		{"odftoolkit__Presentation7.odp", "odp", 100, ""},
		{"synth-deck.ppsx", "ppsx", 2, "deck in, PDF out"},
		{"synth-deck.potx", "potx", 2, "deck in, PDF out"},
		{"docling__equations.docx", "docx", flowing, "A=π"},
		{"docling__legacy_sample.doc", "doc", flowing, ""},
		{"synth-letter.odt", "odt", 1, "Привет, 你好"},
		{"gotenberg__libreoffice-linked-external.fodt", "fodt", 1, "must not load"},
		{"officeimo__SampleFileRTF.rtf", "rtf", flowing, ""},
		{"synth-letter.txt", "txt", 1, "Grüße, Привет, 你好, €"},
		{"synth-table.xlsx", "xlsx", 1, "Київ"},
		{"synth-table.xltx", "xltx", 1, "Київ"},
		{"synth-built-in-password.xlsx", "xlsx", 1, "Київ"},
		{"synth-table.xls", "xls", 1, "Київ"},
		{"synth-table.ods", "ods", 1, "Київ"},
		{"synth-table.csv", "csv", 1, "with; semicolon"},
	} {
		t.Run(c.format+" "+c.file, func(t *testing.T) {
			t.Parallel()
			request := requestFor(t, read(t, c.file), c.format)
			output, err := e.Convert(t.Context(), request)
			require.NoError(t, err)
			require.Positive(t, output.Pages)
			if c.pages != flowing {
				require.Equal(t, c.pages, output.Pages)
			}
			require.Equal(t, request.Directory, filepath.Dir(filepath.Dir(output.Path)))
			require.Contains(t, pdfText(t, output.Path), c.text)
		})
	}
}

// TestTextWithComment needs a layout that Debian's packages for machines without a screen lack; see layouts.
func TestTextWithComment(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	const text = `<?xml version="1.0" encoding="UTF-8"?>
<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:dc="http://purl.org/dc/elements/1.1/" office:version="1.2" office:mimetype="application/vnd.oasis.opendocument.text">
 <office:body><office:text><text:p>What was <office:annotation><dc:creator>A reader</dc:creator><text:p>remarked
 </text:p></office:annotation>written</text:p></office:text></office:body></office:document>`
	output, err := e.Convert(t.Context(), requestFor(t, []byte(text), "fodt"))
	require.NoError(t, err)
	require.Contains(t, pdfText(t, output.Path), "What was written")
}

// TestTextInOtherCharacterSets checks the import options: LibreOffice would assume UTF-8.
func TestTextInOtherCharacterSets(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for name, c := range map[string]struct {
		content, format string
	}{
		"Windows-1252 text":  {"Gr\xfc\xdfe \x80\n", "txt"},
		"UTF-16 text":        {"\xff\xfeG\x00r\x00\xfc\x00\xdf\x00e\x00 \x00\xac\x20\n\x00", "txt"},
		"Windows-1252 table": {"Gr\xfc\xdfe \x80;2\nx;y\n", "csv"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, err := e.Convert(t.Context(), requestFor(t, []byte(c.content), c.format))
			require.NoError(t, err)
			require.Contains(t, pdfText(t, output.Path), "Grüße €")
		})
	}
}

func TestDocumentFailures(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	deck := read(t, "open-xml-sdk__AllSlidesConverterTC.pptx")
	damaged := bytes.Clone(deck) // its directory is intact, so that only LibreOffice notices
	copy(damaged[4<<10:], make([]byte, len(damaged)/2))
	for name, c := range map[string]struct {
		content []byte
		format  string
		want    problem.Code
	}{
		"encrypted pptx":   {read(t, "gembox.presentation.examples__PptxEncryption.pptx"), "pptx", problem.PasswordRequired},
		"encrypted xlsx":   {read(t, "excelize__encryptSHA512.xlsx"), "xlsx", problem.PasswordRequired},
		"encrypted ppt":    {read(t, "msoffcrypto-tool__rc4cryptoapi_password.ppt"), "ppt", problem.PasswordRequired},
		"encrypted odt":    {read(t, "unoserver__simple.encrypted.odt"), "odt", problem.PasswordRequired},
		"truncated":        {deck[:len(deck)*6/10], "pptx", problem.DocumentMalformed},
		"truncated binary": {read(t, "docling__legacy_sample.doc")[:3000], "doc", problem.DocumentMalformed},
		"overwritten":      {damaged, "pptx", problem.DocumentMalformed},
		"fuzzed binary":    {fuzzedDeck(t), "ppt", problem.DocumentMalformed},
		"an image":         {read(t, "synth-png-named.pptx"), "pptx", problem.DocumentMalformed},
		"empty file":       {nil, "pptx", problem.DocumentMalformed},
		"entities":         {[]byte(`<!DOCTYPE a [<!ENTITY a "&a;">]>` + string(read(t, "synth-lfi-linked-section.fodt")[55:])), "fodt", problem.DocumentTooComplex},
		"all hidden":       {read(t, "synth-all-hidden.pptx"), "pptx", problem.DocumentEmpty},
		"no slides":        {read(t, "python-pptx__no-slides.pptx"), "pptx", problem.DocumentEmpty},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := e.Convert(t.Context(), requestFor(t, c.content, c.format))
			requireCode(t, err, c.want)
		})
	}
}

// fuzzedDeck returns a binary deck with an intact container and damaged contents: LibreOffice takes it for a text.
func fuzzedDeck(t *testing.T) []byte {
	t.Helper()
	deck := bytes.Clone(read(t, "aspose.slides-for-.net__Print.ppt"))
	for i := 4 << 10; i < len(deck)-8<<10; i++ {
		deck[i] ^= byte(i)
	}
	return deck
}

// TestFormats checks that all formats are offered, and that documents are refused if their filter is missing.
func TestFormats(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	require.Equal(t, slices.Collect(format.All()), e.Formats())
	e.formats = slices.DeleteFunc(e.Formats(), func(f format.Format) bool { return f.ID == "fodt" })
	_, err := e.Convert(t.Context(), requestFor(t, read(t, "synth-lfi-linked-section.fodt"), "odt"))
	requireCode(t, err, problem.FormatUnsupported)
	_, err = e.Convert(t.Context(), requestFor(t, read(t, "synth-letter.odt"), "odt"))
	require.NoError(t, err)
}

// TestDefaultPaper checks that a document without a page size gets that of the locale, which is always C.UTF-8: A4.
func TestDefaultPaper(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for _, format := range []string{"csv", "txt"} {
		output, err := e.Convert(t.Context(), requestFor(t, []byte("a;b"), format))
		require.NoError(t, err)
		facts, err := exec.Command("pdfinfo", output.Path).Output()
		require.NoError(t, err)
		require.Contains(t, string(facts), "(A4)")
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for _, c := range []struct{ file, format, password string }{
		{"gembox.presentation.examples__PptxEncryption.pptx", "pptx", "inpass"},
		{"excelize__encryptSHA512.xlsx", "xlsx", "password"},
		{"msoffcrypto-tool__rc4cryptoapi_password.doc", "doc", "Password1234_"},
		{"unoserver__simple.encrypted.odt", "odt", "password"},
		{"synth-letter.odt", "odt", "not needed"},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			request := requestFor(t, read(t, c.file), c.format)
			request.Password = &c.password
			output, err := e.Convert(t.Context(), request)
			require.NoError(t, err)
			require.Positive(t, output.Pages)
		})
		if c.password == "not needed" {
			continue
		}
		for name, wrong := range map[string]string{"wrong": "s3cret-guess", "empty": ""} {
			t.Run(c.file+" "+name, func(t *testing.T) {
				t.Parallel()
				request := requestFor(t, read(t, c.file), c.format)
				request.Password = &wrong
				_, err := e.Convert(t.Context(), request)
				requireCode(t, err, problem.PasswordWrong)
				require.NotContains(t, err.Error(), "s3cret")
			})
		}
	}
}

func TestPageLimit(t *testing.T) {
	t.Parallel()
	deck := read(t, "odftoolkit__Presentation7.odp")
	for limit, allowed := range map[int]bool{0: true, 100: true, 99: false} {
		e := setup(t, func(l *engine.Limits) { l.Pages = limit })
		output, err := e.Convert(t.Context(), requestFor(t, deck, "odp"))
		require.Regexp(t, `^LibreOffice \d+\.\d+`, output.Engine)
		if allowed {
			require.NoError(t, err)
			require.Equal(t, 100, output.Pages)
		} else {
			requireCode(t, err, problem.DocumentTooComplex)
			require.ErrorContains(t, err, "the setting conversion-pages allows 99")
		}
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	request := requestFor(t, read(t, "odftoolkit__Presentation7.odp"), "odp")
	var reported []engine.Progress
	furthest := 0
	request.Progress = func(p engine.Progress) {
		reported = append(reported, p)
		furthest = max(furthest, p.Percent)
	}
	_, err := e.Convert(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, engine.Progress{Phase: engine.Loading}, reported[0])
	require.Equal(t, engine.Saving, reported[len(reported)-1].Phase)
	require.Greater(t, len(reported), 50, "a deck of 100 slides")
	require.GreaterOrEqual(t, furthest, 90)
}

// TestSameName converts documents of the same name concurrently.
func TestSameName(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	var wait sync.WaitGroup
	for i := range 8 {
		text := fmt.Sprintf("number %d", i)
		request := requestFor(t, []byte(text), "txt")
		wait.Go(func() {
			output, err := e.Convert(t.Context(), request)
			if !asserted(t, err) {
				return
			}
			if got := pdfText(t, output.Path); !strings.Contains(got, text) {
				t.Errorf("%q instead of %q", got, text)
			}
		})
	}
	wait.Wait()
}

// asserted reports whether err is nil. Goroutines use it instead of require, because they must not end the test.
func asserted(t *testing.T, err error) bool {
	if err != nil {
		t.Error(err)
	}
	return err == nil
}

func TestSourceIsNotChanged(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	content := read(t, "synth-deck.ppsx")
	request := requestFor(t, content, "ppsx")
	_, err := e.Convert(t.Context(), request)
	require.NoError(t, err)
	after, err := os.ReadFile(request.Source)
	require.NoError(t, err)
	require.Equal(t, content, after)
	left, err := os.ReadDir(request.Directory)
	require.NoError(t, err)
	require.Len(t, left, 2, "the source and the attempt's directory")
}

func TestLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	requests := atomic.Int64{}
	listener := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	t.Cleanup(listener.Close)
	picture := filepath.Join(t.TempDir(), "picture.png")
	require.NoError(t, os.WriteFile(picture, redSquare(t), 0o600))
	text := filepath.Join(t.TempDir(), "secret.txt")
	require.NoError(t, os.WriteFile(text, []byte("TOP-SECRET"), 0o600))

	host := strings.TrimPrefix(listener.URL, "http://")
	for name, c := range map[string]struct {
		content []byte
		format  string
	}{
		"section and image from the network, section from a file": {
			bytes.ReplaceAll(bytes.ReplaceAll(read(t, "synth-lfi-linked-section.fodt"),
				[]byte("127.0.0.1:9"), []byte(host)), []byte("/etc/passwd"), []byte(text)), "fodt",
		},
		"image file in a text": {
			bytes.ReplaceAll(read(t, "gotenberg__libreoffice-linked-external.fodt"),
				[]byte("/usr/lib/libreoffice/share/gallery/backgrounds/giraffe.png"), []byte(picture)), "fodt",
		},
		"image of LibreOffice's own in a text": { // which a child may read
			read(t, "gotenberg__libreoffice-linked-external.fodt"), "fodt",
		},
		"image file in a deck": {
			rewriteZip(t, read(t, "synth-lfi-file-picture.pptx"), "file:///tmp/canary.png", "file://"+picture), "pptx",
		},
		"image from the network in a deck": {
			rewriteZip(t, read(t, "synth-lfi-file-picture.pptx"), "file:///tmp/canary.png", listener.URL+"/picture.png"), "pptx",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() { require.Zero(t, requests.Load(), "requests to the listener") })
			output, err := e.Convert(t.Context(), requestFor(t, c.content, c.format))
			require.NoError(t, err)
			require.NotContains(t, pdfText(t, output.Path), "TOP-SECRET")
			images, err := exec.Command("pdfimages", "-list", output.Path).Output()
			require.NoError(t, err)
			require.Equal(t, 2, bytes.Count(images, []byte("\n")), "only the two header lines: %s", images)
		})
	}
}

func redSquare(t *testing.T) []byte {
	t.Helper()
	square := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for i := range 64 * 64 {
		square.Set(i%64, i/64, color.RGBA{R: 255, A: 255})
	}
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, square))
	return out.Bytes()
}

// rewriteZip replaces a string in every file of an archive.
func rewriteZip(t *testing.T, archive []byte, before, after string) []byte {
	t.Helper()
	from, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	require.NoError(t, err)
	var out bytes.Buffer
	to := zip.NewWriter(&out)
	for _, file := range from.File {
		reader, err := file.Open()
		require.NoError(t, err)
		content, err := io.ReadAll(reader)
		require.NoError(t, err)
		writer, err := to.Create(file.Name)
		require.NoError(t, err)
		_, err = writer.Write(bytes.ReplaceAll(content, []byte(before), []byte(after)))
		require.NoError(t, err)
	}
	require.NoError(t, to.Close())
	return out.Bytes()
}

func TestStartNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := run(Config{Program: "/nonexistent/soffice"})
	require.ErrorIs(t, err, ErrMissing)

	// An invalid library represents a broken installation.
	broken := t.TempDir()
	for _, name := range []string{"libsofficeapp.so", "libmergedlo.so", "soffice"} {
		require.NoError(t, os.WriteFile(filepath.Join(broken, name), []byte("nothing"), 0o600))
	}
	_, err = run(Config{Program: filepath.Join(broken, "soffice")})
	require.ErrorContains(t, err, "start LibreOffice ("+broken+")")
	require.ErrorContains(t, err, "libmergedlo.so")
}

func TestCheckFollowsTheEngine(t *testing.T) {
	t.Parallel()
	own := setupOwn(t, nil)
	require.NoError(t, own.Check(t.Context()))
	require.NoError(t, own.stop())
	require.ErrorContains(t, own.Check(t.Context()), "not loaded")
	_, err := own.Convert(context.Background(), requestFor(t, []byte("x"), "txt"))
	require.ErrorIs(t, err, errStopped)
}

func TestConfigIsValidated(t *testing.T) {
	t.Parallel()
	require.NoError(t, defaults().Validate())
	for name, spoil := range map[string]func(*Config){
		"recycle-age":         func(c *Config) { c.RecycleAge = time.Second },
		"recycle-conversions": func(c *Config) { c.RecycleConversions = 0 },
		"recycle-growth":      func(c *Config) { c.RecycleGrowth = 0 },
	} {
		config := defaults()
		spoil(&config)
		require.ErrorContains(t, config.Validate(), "setting "+name)
	}
}
