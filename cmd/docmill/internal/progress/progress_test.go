package progress

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestControlCharactersAreEscaped(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Größe 報告.docx": "Größe 報告.docx", "a\x1b[2Jb\n": `a\x1b[2Jb\n`, "it's": "it's", "\u202edocx": `\u202edocx`,
	} {
		require.Equal(t, want, Printable(text))
	}
}
