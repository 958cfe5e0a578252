package soffice

import (
	"archive/zip"
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/platform/document"
	"github.com/docmill/docmill/platform/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/child"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/installation"
)

const testdata = "../../../../testdata/"

// started is one Office for all tests of the package: a start takes seconds, and conversions share nothing but the
// profile that they copy.
var started = sync.OnceValues(func() (*Office, error) {
	folder, err := os.MkdirTemp("", "docmill-soffice-test-")
	if err != nil {
		return nil, err
	}
	return Start(context.Background(), engine.Config{Timeout: 10 * time.Minute, Memory: 2 << 30, Disk: 2 << 30}, folder)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if office, err := started(); err == nil {
		_ = os.RemoveAll(filepath.Dir(filepath.Dir(office.profile)))
	}
	os.Exit(code)
}

// setup gives an Office with limits of its own.
func setup(t *testing.T, change func(*child.Limits)) *Office {
	t.Helper()
	shared, err := started()
	require.NoError(t, err)
	office := *shared
	if change != nil {
		change(&office.limits)
	}
	return &office
}

// requestFor puts a document into a folder of its own, as the owner of a job does.
func requestFor(t *testing.T, content []byte, id string) engine.Request {
	t.Helper()
	format, found := document.FormatByID(id)
	require.True(t, found, id)
	target, found := format.Target("pdf")
	require.True(t, found)
	folder := t.TempDir()
	source := filepath.Join(folder, "document."+id)
	require.NoError(t, os.WriteFile(source, content, 0o600))
	return engine.Request{Folder: folder, Source: source, Format: format, Target: target}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(testdata + name)
	require.NoError(t, err)
	return content
}

func requireCode(t *testing.T, err error, code problem.Code) {
	t.Helper()
	var failure *problem.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, code, failure.Code, "%v", err)
}

// pdfText gives a PDF's text, through poppler.
func pdfText(t *testing.T, path string) string {
	t.Helper()
	text, err := exec.Command("pdftotext", path, "-").Output()
	require.NoError(t, err)
	return string(text)
}

func TestEveryFormat(t *testing.T) {
	t.Parallel()
	office := setup(t, nil)
	const flowing = 0 // how many pages it takes depends on the fonts of the machine
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
		{"docling__equations.docx", "docx", flowing, ""},
		{"docling__legacy_sample.doc", "doc", flowing, ""},
		{"synth-letter.odt", "odt", 1, "Привет, 你好"},
		{"gotenberg__libreoffice-linked-external.fodt", "fodt", 1, "must not load"},
		{"officeimo__SampleFileRTF.rtf", "rtf", flowing, ""},
		{"synth-letter.txt", "txt", 1, "Grüße, Привет, 你好, €"},
		{"synth-table.xlsx", "xlsx", 1, "Київ"},
		{"synth-table.xltx", "xltx", 1, "Київ"},
		{"synth-table.xls", "xls", 1, "Київ"},
		{"synth-table.ods", "ods", 1, "Київ"},
		{"synth-table.csv", "csv", 1, "with; semicolon"},
	} {
		t.Run(c.format+" "+c.file, func(t *testing.T) {
			t.Parallel()
			request := requestFor(t, read(t, c.file), c.format)
			output, err := office.Convert(t.Context(), request)
			require.NoError(t, err)
			require.Positive(t, output.Pages)
			if c.pages != flowing {
				require.Equal(t, c.pages, output.Pages)
			}
			require.Equal(t, request.Folder, filepath.Dir(filepath.Dir(output.Path)))
			require.Contains(t, pdfText(t, output.Path), c.text)
		})
	}
}

func TestFailuresOfDocuments(t *testing.T) {
	t.Parallel()
	office := setup(t, nil)
	deck := read(t, "open-xml-sdk__AllSlidesConverterTC.pptx")
	damaged := bytes.Clone(deck) // its directory is whole, so that only LibreOffice finds out
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
		"a picture":        {read(t, "synth-png-named.pptx"), "pptx", problem.DocumentMalformed},
		"empty file":       {nil, "pptx", problem.DocumentMalformed},
		"all hidden":       {read(t, "synth-all-hidden.pptx"), "pptx", problem.DocumentEmpty},
		"no slides":        {read(t, "python-pptx__no-slides.pptx"), "pptx", problem.DocumentEmpty},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := office.Convert(t.Context(), requestFor(t, c.content, c.format))
			requireCode(t, err, c.want)
		})
	}
}

// awaitProcess waits until LibreOffice works in the folder and gives its process group. Linux tells nobody of a process
// that starts, so this looks again and again.
func awaitProcess(t *testing.T, folder string) int {
	t.Helper()
	group := 0
	require.Eventually(t, func() bool {
		group = groupIn(t, folder)
		return group != 0
	}, time.Minute, 10*time.Millisecond)
	return group
}

func groupIn(t *testing.T, folder string) int {
	t.Helper()
	processes, err := procfs.AllProcs()
	require.NoError(t, err)
	for _, process := range processes {
		if cwd, err := process.Cwd(); err == nil && cwd == folder {
			return process.PID
		}
	}
	return 0
}

func TestAStoppedConversionIsKilledAtItsTimeLimit(t *testing.T) {
	t.Parallel()
	office := setup(t, func(limits *child.Limits) { limits.Time = 5 * time.Second })
	request := requestFor(t, read(t, "odftoolkit__Presentation7.odp"), "odp")
	failed := make(chan error, 1)
	go func() {
		_, err := office.Convert(t.Context(), request)
		failed <- err
	}()
	require.NoError(t, syscall.Kill(-awaitProcess(t, request.Folder), syscall.SIGSTOP))
	requireCode(t, <-failed, problem.ConversionTimeout)
	require.Zero(t, groupIn(t, request.Folder), "nothing is left")
}

func TestACrashIsTold(t *testing.T) {
	t.Parallel()
	office := setup(t, nil)
	request := requestFor(t, read(t, "odftoolkit__Presentation7.odp"), "odp")
	failed := make(chan error, 1)
	go func() {
		_, err := office.Convert(t.Context(), request)
		failed <- err
	}()
	require.NoError(t, syscall.Kill(awaitProcess(t, request.Folder), syscall.SIGSEGV))
	requireCode(t, <-failed, problem.EngineCrashed)
}

func TestLimitsOfMemoryAndDisk(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*child.Limits){
		"memory": func(limits *child.Limits) { limits.Memory = 64 << 20 },
		"disk":   func(limits *child.Limits) { limits.Disk = 64 << 10 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := setup(t, change).Convert(t.Context(), requestFor(t, read(t, "odftoolkit__Presentation7.odp"), "odp"))
			requireCode(t, err, problem.DocumentTooComplex)
		})
	}
}

func TestCancelAbandonsTheConversion(t *testing.T) {
	t.Parallel()
	office := setup(t, nil)
	request := requestFor(t, read(t, "odftoolkit__Presentation7.odp"), "odp")
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := office.Convert(ctx, request)
		failed <- err
	}()
	awaitProcess(t, request.Folder)
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	require.Zero(t, groupIn(t, request.Folder))
}

func TestLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	office := setup(t, nil)
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
		"section and picture of the network, section of a file": {
			bytes.ReplaceAll(bytes.ReplaceAll(read(t, "synth-lfi-linked-section.fodt"),
				[]byte("127.0.0.1:9"), []byte(host)), []byte("/etc/passwd"), []byte(text)), "fodt",
		},
		"picture of a file in a text": {
			bytes.ReplaceAll(read(t, "gotenberg__libreoffice-linked-external.fodt"),
				[]byte("/usr/lib/libreoffice/share/gallery/backgrounds/giraffe.png"), []byte(picture)), "fodt",
		},
		"picture of a file in a deck": {
			rewriteZip(t, read(t, "synth-lfi-file-picture.pptx"), "file:///tmp/canary.png", "file://"+picture), "pptx",
		},
		"picture of the network in a deck": {
			rewriteZip(t, read(t, "synth-lfi-file-picture.pptx"), "file:///tmp/canary.png", listener.URL+"/picture.png"), "pptx",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() { require.Zero(t, requests.Load(), "requests to the listener") })
			output, err := office.Convert(t.Context(), requestFor(t, c.content, c.format))
			require.NoError(t, err)
			require.NotContains(t, pdfText(t, output.Path), "TOP-SECRET")
			images, err := exec.Command("pdfimages", "-list", output.Path).Output()
			require.NoError(t, err)
			require.Equal(t, 2, bytes.Count(images, []byte("\n")), "only the two lines of the heading: %s", images)
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

// rewriteZip replaces a string in all files of an archive.
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

func TestNothingOfTheServiceReachesLibreOffice(t *testing.T) {
	t.Setenv("DOCMILL_STORE_SECRET_KEY", "secret")
	office := setup(t, nil)
	request := requestFor(t, read(t, "odftoolkit__Presentation7.odp"), "odp")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := office.Convert(ctx, request)
		done <- err
	}()
	process, err := procfs.NewProc(awaitProcess(t, request.Folder))
	require.NoError(t, err)
	var environ []string
	require.Eventually(t, func() bool { // between fork and exec it still shows ours
		environ, err = process.Environ()
		return err == nil && len(environ) == 5
	}, time.Minute, 10*time.Millisecond)
	require.NotContains(t, strings.Join(environ, " "), "secret")
	require.Contains(t, environ, "HOME="+filepath.Join(request.Folder, homeFolder))
	cancel()
	<-done
}

func TestStartNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), engine.Config{Program: "/nonexistent/soffice"}, t.TempDir())
	require.ErrorIs(t, err, installation.ErrMissing)

	// A program that does nothing stands for a broken installation.
	broken := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(broken, binaryName), []byte("#!/bin/sh\necho LibreOffice 1.0\n"), 0o700))
	require.NoError(t, os.Symlink(binaryName, filepath.Join(broken, "soffice")))
	limits := engine.Config{Program: filepath.Join(broken, "soffice"), Timeout: time.Minute}
	_, err = Start(t.Context(), limits, t.TempDir())
	require.ErrorContains(t, err, "is libreoffice-writer installed?")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	office := setup(t, nil)
	require.NoError(t, office.Check(t.Context()))
	require.Contains(t, office.Version(), "LibreOffice ")
	office.binary = "/nonexistent/soffice.bin"
	require.ErrorIs(t, office.Check(t.Context()), os.ErrNotExist)
}

func TestOtherTargets(t *testing.T) {
	t.Parallel()
	office := setup(t, nil)
	for _, c := range []struct{ file, format, target, text string }{
		{"synth-deck.potx", "potx", "pptx", ""},
		{"synth-letter.odt", "odt", "docx", ""},
		{"synth-letter.odt", "odt", "txt", "Docmill\n\nA plain text in UTF-8: Grüße, Привет, 你好, €.\n"},
		{"synth-letter.odt", "odt", "html", ""},
		{"synth-table.xlsx", "xlsx", "csv", "city,inhabitants,note\nMünchen,1512491,with; semicolon\nКиїв,2952301,\n"},
	} {
		t.Run(c.file+" to "+c.target, func(t *testing.T) {
			t.Parallel()
			request := requestFor(t, read(t, c.file), c.format)
			request.Target, _ = request.Format.Target(c.target)
			output, err := office.Convert(t.Context(), request)
			require.NoError(t, err)
			require.Zero(t, output.Pages)
			result, err := os.ReadFile(output.Path)
			require.NoError(t, err)
			if c.text != "" {
				require.Equal(t, c.text, string(result))
			}
		})
	}
}

func TestPageRange(t *testing.T) {
	t.Parallel()
	request := requestFor(t, read(t, "odftoolkit__Presentation7.odp"), "odp")
	request.Options = &conversionv1.Options{Pages: proto.String("2-4,99-")}
	output, err := setup(t, nil).Convert(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, 5, output.Pages)
}
