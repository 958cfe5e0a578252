package detect

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
)

func TestTextImport(t *testing.T) {
	t.Parallel()

	const (
		text = "Text (encoded)"
		csv  = "Text - txt - csv (StarCalc)"
	)
	for _, c := range []struct {
		does     string
		data     string
		filename string
		want     format.Import
	}{
		{"ASCII", "Hello", "a.txt", format.Import{Filter: text, Options: "UTF8"}},
		{"UTF-8", "Grüße, 世界 🎉", "a.txt", format.Import{Filter: text, Options: "UTF8"}},
		{"UTF-8 with a mark", "\ufeffGrüße", "a.txt", format.Import{Filter: text, Options: "UTF8"}},
		{"UTF-16, low byte first", utf16LE("Grüße"), "a.txt", format.Import{Filter: text, Options: "UCS2"}},
		{"UTF-16, high byte first", "\xfe\xff\x00G\x00r\x00\xfc", "a.txt", format.Import{Filter: text, Options: "UCS2"}},
		{"Windows-1252", "Gr\xfc\xdfe", "a.txt", format.Import{Filter: text, Options: "MS_1252"}},
		{"control characters of texts", "a\tb\r\n\f\x1b[1m\x1a", "a.txt", format.Import{Filter: text, Options: "UTF8"}},
		{"commas", "a,b;c\n1;2;3\n", "a.csv", format.Import{Filter: csv, Options: "44,34,76,1"}},
		{"semicolons", "a;b;\"c,d,e,f\"\n", "a.csv", format.Import{Filter: csv, Options: "59,34,76,1"}},
		{"tabs", "a\tb\tc,d\n", "a.csv", format.Import{Filter: csv, Options: "9,34,76,1"}},
		{"bars", "a|b|c", "a.csv", format.Import{Filter: csv, Options: "124,34,76,1"}},
		{"a column alone", "a\nb\n", "a.csv", format.Import{Filter: csv, Options: "44,34,76,1"}},
		{"semicolons in Windows-1252", "\xe4;b\n", "a.csv", format.Import{Filter: csv, Options: "59,34,1,1"}},
		{"semicolons in UTF-16", utf16LE("a;b;c\n"), "a.csv", format.Import{Filter: csv, Options: "59,34,65535,1"}},
		{"empty lines in front", "\ufeff\r\n\r\na;b\r\n", "a.csv", format.Import{Filter: csv, Options: "59,34,76,1"}},
	} {
		t.Run(c.does, func(t *testing.T) {
			t.Parallel()
			got, err := examine(t, []byte(c.data), c.filename)
			require.NoError(t, err)
			require.Equal(t, c.want, got.Import)
		})
	}
}

func TestTextEncodingCut(t *testing.T) {
	t.Parallel()

	for cut := 1; cut < 4; cut++ {
		head := []byte("Hello 🎉")
		e, ok := textEncoding(head[:len(head)-cut], true)
		require.True(t, ok)
		require.Equal(t, utf8Text, e, "%d bytes of the last character are missing", cut)
	}
	e, ok := textEncoding([]byte(utf16LE("Hello")+"x"), true)
	require.True(t, ok)
	require.Equal(t, utf16Text, e)
}
