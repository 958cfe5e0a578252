package acceptance_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
)

// otherServer is the environment variable with the URL of a server whose pages must be the same, too: one in a container, for
// example, if LibreOffice has the same version there.
const otherServer = "DOCMILL_OTHER_SERVER"

// pictured are documents whose pages depend on fonts: Latin, Korean, Japanese and Chinese ones that Docmill has stand-ins for, or
// that are from packages, and on what is changed before LibreOffice loads them.
var pictured = []string{
	"fidelity/dxs-docx/case5.docx", "fidelity/o2p-docx/02_contract_ko.docx", "fidelity/oc-docx/OpenChain-Onboarding-Handout-Generic-1.0-ja.docx",
	"fidelity/oc-docx/ISO5230-2020-Questionnaire-Version-3.docx", "fidelity/o2p-pptx/02_quarterly_review_ko.pptx",
	"open-xml-sdk__AllSlidesConverterTC.pptx", "fidelity/o2p-xlsx/01_quotation_ko.xlsx", "synth-letter.odt",
}

// TestPagesAreTheSameEverywhere compares pictures of the pages that the ways to run Docmill make of a document. They depend
// neither on the user's fonts nor on the user's language.
func TestPagesAreTheSameEverywhere(t *testing.T) {
	t.Parallel()
	want := pagesByCommand(t)
	forBoth(t, func(t *testing.T, on edition) {
		b := setup(t, on)
		requireSamePages(t, want, b.client)
	})
	if url := os.Getenv(otherServer); url != "" {
		requireSamePages(t, want, client.New(url))
	}
}

// pagesByCommand returns the pictures of the documents' pages as `docmill convert` makes them, for a user with another language
// and with a font that is called Arial and is not.
func pagesByCommand(t *testing.T) map[string][]string {
	t.Helper()
	built, err := binaries()
	require.NoError(t, err)
	home, output := t.TempDir(), t.TempDir()
	own := filepath.Join(home, ".local", "share", "fonts")
	require.NoError(t, os.MkdirAll(own, 0o700))
	misleading, err := filepath.Glob("/usr/share/fonts/truetype/*/DejaVuSansMono.ttf")
	require.NoError(t, err)
	require.NotEmpty(t, misleading)
	require.NoError(t, os.Symlink(misleading[0], filepath.Join(own, "Arial.ttf")))
	configuration := filepath.Join(home, ".config", "fontconfig")
	require.NoError(t, os.MkdirAll(configuration, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(configuration, "fonts.conf"), []byte(`<?xml version="1.0"?><fontconfig><dir prefix="xdg">fonts</dir>
		<alias binding="same"><family>Arial</family><prefer><family>DejaVu Sans Mono</family></prefer></alias></fontconfig>`), 0o600))
	pages := map[string][]string{}
	for _, name := range pictured {
		result := filepath.Join(output, filepath.Base(name)+".pdf")
		command := exec.CommandContext(t.Context(), filepath.Join(built, "docmill"), "convert", document(name), "--output="+result)
		command.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "LANG=de_DE.UTF-8", "TMPDIR=" + os.TempDir()}
		printed, err := command.CombinedOutput()
		require.NoError(t, err, string(printed))
		pages[name] = drawn(t, result)
	}
	return pages
}

func requireSamePages(t *testing.T, want map[string][]string, from *client.Client) {
	t.Helper()
	for _, name := range pictured {
		job, err := from.SubmitFile(t.Context(), document(name))
		require.NoError(t, err)
		job, err = from.Wait(t.Context(), job)
		require.NoError(t, err, name)
		path := filepath.Join(t.TempDir(), "result.pdf")
		require.NoError(t, from.DownloadFile(t.Context(), job, path))
		require.Equal(t, want[name], drawn(t, path), name)
	}
}

// drawn returns the hashes of pictures of a PDF's pages.
func drawn(t *testing.T, path string) []string {
	t.Helper()
	directory := t.TempDir()
	printed, err := exec.CommandContext(t.Context(), "pdftoppm", "-r", "72", path, filepath.Join(directory, "page")).CombinedOutput()
	require.NoError(t, err, string(printed))
	files, err := os.ReadDir(directory)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var pages []string
	for _, file := range files {
		picture, err := os.ReadFile(filepath.Join(directory, file.Name()))
		require.NoError(t, err)
		sum := sha256.Sum256(picture)
		pages = append(pages, fmt.Sprintf("%s %s", file.Name(), hex.EncodeToString(sum[:])))
	}
	return pages
}
