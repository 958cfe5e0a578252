package download

import (
	"strings"
	"unicode"
)

// disposition returns the Content-Disposition for a file name (RFC 6266). A name that is not plain ASCII occurs twice:
// exactly in filename* (RFC 8187), and in filename with an underscore for each character that could be misinterpreted
// there, which mime.FormatMediaType does not add. Everything is escaped, so no name can add a parameter or a line.
func disposition(filename string) string {
	var plain strings.Builder
	for _, c := range filename {
		// The percent sign is allowed, but some browsers decode it.
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

// encoded percent-encodes everything except the attr-char of RFC 8187.
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
