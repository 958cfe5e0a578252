package download

import (
	"mime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestDisposition(t *testing.T) {
	t.Parallel()
	for filename, want := range map[string]string{
		"deck.pdf":             `attachment; filename="deck.pdf"`,
		"my deck (1).pdf":      `attachment; filename="my deck (1).pdf"`,
		"Präsentation 🎉.pdf":   `attachment; filename="Pr_sentation _.pdf"; filename*=UTF-8''Pr%C3%A4sentation%20%F0%9F%8E%89.pdf`,
		`a"b;c\d.pdf`:          `attachment; filename="a_b_c_d.pdf"; filename*=UTF-8''a%22b%3Bc%5Cd.pdf`,
		"50%25.pdf":            `attachment; filename="50_25.pdf"; filename*=UTF-8''50%2525.pdf`,
		"a\r\nX-Evil: 1.pdf":   `attachment; filename="a__X-Evil: 1.pdf"; filename*=UTF-8''a%0D%0AX-Evil%3A%201.pdf`,
		"ملف\u202efdp.exe.pdf": `attachment; filename="____fdp.exe.pdf"; filename*=UTF-8''%D9%85%D9%84%D9%81%E2%80%AEfdp.exe.pdf`,
	} {
		require.Equal(t, want, disposition(filename))
	}
}

// FuzzDisposition checks that every name can be parsed back from its header unchanged, and that it adds nothing to the
// header.
func FuzzDisposition(f *testing.F) {
	for _, name := range []string{"deck.pdf", `a"b\`, "é\r\n", "%41", "''", "\xff"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		header := disposition(name)
		require.False(t, strings.ContainsFunc(header, func(c rune) bool { return c < ' ' || c > '~' }), header)
		kind, params, err := mime.ParseMediaType(header)
		require.NoError(t, err, header)
		require.Equal(t, "attachment", kind)
		require.Len(t, params, 1)
		if utf8.ValidString(name) {
			require.Equal(t, name, params["filename"], header)
		}
	})
}
