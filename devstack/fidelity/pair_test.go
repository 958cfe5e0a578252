package fidelity

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// manifest writes a manifest and returns its directory.
func manifest(t *testing.T, content string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, Manifest), []byte(content), 0o600))
	return dir
}

func TestManifest(t *testing.T) {
	t.Parallel()
	dir := manifest(t, "# comment\ndecks\tdecks/a b.pptx\tdecks/a b.pdf\t2-5\nletters\tx.docx\tx.pdf\n")
	pairs, err := Pairs(dir)
	require.NoError(t, err)
	require.Equal(t, []Pair{
		{Family: "decks", Document: filepath.Join(dir, "decks/a b.pptx"), Reference: filepath.Join(dir, "decks/a b.pdf"), Span: Span{2, 5}},
		{Family: "letters", Document: filepath.Join(dir, "x.docx"), Reference: filepath.Join(dir, "x.pdf")},
	}, pairs)
	require.Equal(t, "decks/a b", pairs[0].String())
}

func TestMistakesInAManifestHaveALine(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"a\tb.docx\tb.pdf\na\tb.docx\n": "line 2: the family, the document and its PDF are required",
		"a\tb.docx\tb.pdf\tall\n":       `line 1: invalid pages "all": want a range such as 1-25`,
	} {
		_, err := Pairs(manifest(t, content))
		require.ErrorContains(t, err, want)
	}
}
