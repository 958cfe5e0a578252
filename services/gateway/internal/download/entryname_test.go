package download

import (
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestEntryNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ given, want []string }{
		{[]string{"deck.pdf", "deck.pdf", "DECK.PDF", "deck.pdf"}, []string{"deck.pdf", "deck (2).pdf", "DECK (3).PDF", "deck (4).pdf"}},
		{[]string{"deck (2).pdf", "deck.pdf", "deck.pdf"}, []string{"deck (2).pdf", "deck.pdf", "deck (3).pdf"}},
		{[]string{"\u00e9.pdf", "e\u0301.pdf"}, []string{"\u00e9.pdf", "e\u0301 (2).pdf"}},
		{[]string{"../../etc/passwd", `..\..\evil.pdf`, "/abs.pdf"}, []string{".._.._etc_passwd", ".._.._evil.pdf", "_abs.pdf"}},
		{[]string{"..", ".", ""}, []string{"_._", "__", "_"}},
		{[]string{" ", " "}, []string{"__", "  (2)"}},
		{[]string{"CON.pdf", "nul", "com1.txt.pdf", "console.pdf"}, []string{"_CON.pdf", "_nul", "_com1.txt.pdf", "console.pdf"}},
		{[]string{"a\x00b\r\n.pdf", "a\u202efdp.exe", "a<b>|c?.pdf", "a\xff.pdf"}, []string{"a_b__.pdf", "a_fdp.exe", "a_b__c_.pdf", "a_.pdf"}},
		{[]string{"a.pdf.", "b.pdf "}, []string{"a.pdf_", "b.pdf_"}},
	} {
		names := entryNames{}
		for i, given := range c.given {
			require.Equal(t, c.want[i], names.next(given), "%q", given)
		}
	}
	names := entryNames{}
	long := strings.Repeat("ä", 200) + ".pdf"
	for range 3 {
		name := names.next(long)
		require.LessOrEqual(t, len(name), 255)
		require.True(t, strings.HasSuffix(name, ".pdf"))
		require.True(t, utf8.ValidString(name))
	}
}

// FuzzEntryNames checks that every name is a valid one for a file, and different from another of the same document.
func FuzzEntryNames(f *testing.F) {
	for _, name := range []string{"deck.pdf", "..", "CON", "a\x00/b", "\xff\xfe", "e\u0301.pdf", strings.Repeat("x", 300)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, given string) {
		names := entryNames{}
		first, second := names.next(given), names.next(given)
		require.NotEqual(t, strings.ToLower(first), strings.ToLower(second))
		for _, name := range []string{first, second} {
			require.True(t, utf8.ValidString(name), "%q", name)
			require.LessOrEqual(t, len(name), 255)
			require.Equal(t, name, path.Base(path.Clean("/"+name)))
			require.NotContains(t, name, `\`)
		}
	})
}
