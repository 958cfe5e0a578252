package pdf

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/converter/internal/pdf/pdftest"
)

// small returns a PDF of one page with two fonts, as LibreOffice writes it.
func small() []byte {
	var out bytes.Buffer
	var offsets []int
	out.WriteString("%PDF-1.6\n")
	for i, object := range []string{
		"<</Type/Catalog/Pages 2 0 R>>",
		"<</Type/Pages\n/Kids[ 3 0 R ]\n/Count 1>>",
		"<</Type/Page/Parent 2 0 R/Resources 4 0 R/MediaBox[0 0 9 9]>>",
		"<</Font 5 0 R\n/ProcSet[/PDF/Text]\n>>",
		"<</F1 6 0 R/F2 7 0 R\n>>",
		"<</Type/Font/Subtype/TrueType/BaseFont/BAAAAA+Carlito-Bold\n/FirstChar 0>>",
		"<</Type/Font/Subtype/TrueType/BaseFont/CAAAAA+Carlito/FirstChar 0>>",
	} {
		offsets = append(offsets, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	table := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, offset := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&out, "trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, table)
	return out.Bytes()
}

func write(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f.pdf")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// TestPlainAgreesWithTheTools checks that both ways return the same.
func TestPlainAgreesWithTheTools(t *testing.T) {
	t.Parallel()
	tools, err := FindTools()
	require.NoError(t, err)
	for name, content := range map[string][]byte{
		"fonts": small(), "one": pdftest.Pages("9 9"), "many": pdftest.Alike(3000, "9 9"),
	} {
		path := write(t, content)
		pages, err := withPlain(path, (*plain).pages)
		require.NoError(t, err, name)
		output, err := inspect(t.Context(), tools.qpdf, path, "--warning-exit-0", "--show-npages")
		require.NoError(t, err)
		require.Equal(t, output, fmt.Sprintln(pages))
	}
	path := write(t, small())
	tagged, err := withPlain(path, (*plain).fonts)
	require.NoError(t, err)
	require.Equal(t, []string{"BAAAAA+Carlito-Bold", "CAAAAA+Carlito"}, tagged)
	output, err := inspect(t.Context(), tools.pdffonts, path, "-f", "1", "-l", "1")
	require.NoError(t, err)
	require.ElementsMatch(t, parseFonts(output), withoutTags(tagged))
}

// TestLibreOfficesFilesArePlain checks that LibreOffice's own files need no tool.
func TestLibreOfficesFilesArePlain(t *testing.T) {
	t.Parallel()
	const path = "testdata/libreoffice-7.4.pdf"
	pages, err := withPlain(path, (*plain).pages)
	require.NoError(t, err)
	require.Equal(t, 2, pages)
	tagged, err := withPlain(path, (*plain).fonts)
	require.NoError(t, err)
	require.Equal(t, []string{"LiberationMono"}, withoutTags(tagged))
}

// TestNotPlain checks that files with any other structure are left to the tools.
func TestNotPlain(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"encrypted":       {"/Root", "/Encrypt 9 0 R/Root"},
		"updated":         {"/Root", "/Prev 100/Root"},
		"hybrid":          {"/Root", "/XRefStm 100/Root"},
		"no pages":        {"/Count 1", "/Count 0"},
		"no kids":         {"/Kids[ 3", "/Kids[   "},
		"no table":        {"xref\n0 ", "xxxx\n0 "},
		"another object":  {"2 0 obj", "3 0 obj"},
		"no end":          {"%%EOF", "%%E"},
		"missing object":  {"/Pages 2", "/Pages 9"},
		"beyond the file": {"startxref\n", "startxref\n9"},
	} {
		content := bytes.Replace(small(), []byte(change[0]), []byte(change[1]), 1)
		require.NotEqual(t, small(), content, name)
		_, err := withPlain(write(t, content), (*plain).pages)
		require.ErrorIs(t, err, errNotPlain, name)
	}
	for name, change := range map[string][2]string{
		"levels":       {"/Type/Page/Parent", "/Type/Pages/Parent"},
		"escaped name": {"BAAAAA+Carlito-Bold", "BAAAAA+Carlito#2DBo"},
		"no resources": {"/Resources 4", "/Resources 9"},
	} {
		content := bytes.Replace(small(), []byte(change[0]), []byte(change[1]), 1)
		_, err := withPlain(write(t, content), (*plain).fonts)
		require.ErrorIs(t, err, errNotPlain, name)
	}
	_, err := withPlain(write(t, nil), (*plain).pages)
	require.ErrorIs(t, err, errNotPlain)
}

func FuzzPlain(f *testing.F) {
	f.Add(small())
	f.Add(pdftest.Pages("9 9"))
	f.Fuzz(func(t *testing.T, content []byte) {
		p := &plain{file: bytes.NewReader(content), size: int64(len(content))}
		if p.readTable() != nil {
			return
		}
		if pages, err := p.pages(); err == nil && pages < 1 {
			t.Fatal(pages)
		}
		_, _ = p.fonts()
	})
}

func BenchmarkPlainPages(b *testing.B) {
	path := write(b, small())
	for b.Loop() {
		if _, err := withPlain(path, (*plain).pages); err != nil {
			b.Fatal(err)
		}
	}
}
