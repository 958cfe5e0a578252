package download

import (
	"strings"
	"unicode"
)

// disposition names the file for the client (RFC 6266). A name beyond plain ASCII comes twice: in filename* exactly
// (RFC 8187), and in filename with an underscore for each character that could be misread there. Nothing of a name gets
// into the header unescaped, so no name can add a parameter or a line.
func disposition(filename string) string {
	var plain strings.Builder
	for _, c := range filename {
		// The percent sign is safe by the letter, but some browsers decode it.
		if c > unicode.MaxASCII || unicode.IsControl(c) || strings.ContainsRune(`"\%/;`, c) {
			c = '_'
		}
		plain.WriteRune(c)
	}
	value := `attachment; filename="` + plain.String() + `"`
	if plain.String() != filename {
		value += "; filename*=UTF-8''" + encoded(filename)
	}
	return value
}

// encoded writes everything but RFC 8187's attr-char as percent and two hexadecimal digits.
func encoded(text string) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	for _, c := range []byte(strings.ToValidUTF8(text, "\ufffd")) {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			out.WriteByte(c)
			continue
		}
		out.WriteByte('%')
		out.WriteByte(digits[c>>4])
		out.WriteByte(digits[c&15])
	}
	return out.String()
}
