package detect

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"

	"github.com/docmill/docmill/contract/format"
)

// encoding is the character set of a text without a format.
type encoding int

const (
	utf8Text encoding = iota + 1
	utf16Text
	// ansiText is Windows-1252 by assumption: its relatives look the same.
	ansiText
)

// The names of the character sets: LibreOffice's for texts (sw/source/filter/ascii), where UCS2 is UTF-16 of either
// byte order, decided by the mark, and its numbers for CSV, where 76 is UTF-8, 65535 is UTF-16 and 1 is Windows-1252.
var (
	textSets = map[encoding]string{utf8Text: "UTF8", utf16Text: "UCS2", ansiText: "MS_1252"}
	csvSets  = map[encoding]string{utf8Text: "76", utf16Text: "65535", ansiText: "1"}
)

// textImport returns how LibreOffice is to read plain text.
func textImport(e encoding) format.Import {
	return format.Import{Filter: "Text (encoded)", Options: textSets[e]}
}

// csvImport returns how LibreOffice is to read values with a separator. The tokens of its options are the separator,
// the quote, the character set and the first line, as in LibreOffice's help on CSV filters.
func csvImport(e encoding, separator byte) format.Import {
	return format.Import{
		Filter:  "Text - txt - csv (StarCalc)",
		Options: strings.Join([]string{strconv.Itoa(int(separator)), "34", csvSets[e], "1"}, ","),
	}
}

// textEncoding reports whether the beginning of a document is text, and returns its character set: UTF-8, UTF-16 with
// a byte order mark, or eight bits that look like Windows-1252. cut means that the document continues after the head.
func textEncoding(head []byte, cut bool) (encoding, bool) {
	if decoded, ok := decodeUTF16(head, cut); ok {
		return utf16Text, plain(decoded)
	}
	if !plain(head) {
		return 0, false
	}
	if cut {
		head = trimPartialRune(head)
	}
	if utf8.Valid(head) {
		return utf8Text, true
	}
	// The five bytes that Windows-1252 leaves undefined are common in binary data and in multi-byte character sets.
	return ansiText, !containsAnyByte(head, "\x81\x8d\x8f\x90\x9d")
}

// decodeUTF16 returns a head with a byte order mark as UTF-8; ok is false if it has none.
func decodeUTF16(head []byte, cut bool) (decoded []byte, ok bool) {
	if !bytes.HasPrefix(head, []byte("\xff\xfe")) && !bytes.HasPrefix(head, []byte("\xfe\xff")) {
		return nil, false
	}
	if cut && len(head)%2 == 1 {
		head = head[:len(head)-1]
	}
	decoded, err := unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM).NewDecoder().Bytes(head)
	return decoded, err == nil
}

// plain reports whether text has no control characters except those of real texts: backspace to carriage return, the
// end-of-file mark of DOS, and escape.
func plain(text []byte) bool {
	for _, c := range text {
		if c < ' ' && (c < '\b' || c > '\r') && c != 0x1a && c != 0x1b {
			return false
		}
	}
	return true
}

func containsAnyByte(data []byte, set string) bool {
	for i := range len(set) {
		if bytes.IndexByte(data, set[i]) >= 0 {
			return true
		}
	}
	return false
}

// trimPartialRune removes the beginning of a character whose rest is behind the cut.
func trimPartialRune(head []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(head); i++ {
		if tail := head[len(head)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return head[:len(head)-i]
			}
			break
		}
	}
	return head
}

// separator returns what separates the values of a CSV document: the candidate that occurs most often in its first
// line, outside of quotes. For a line without any it is a comma.
func separator(head []byte, e encoding) byte {
	if e == utf16Text {
		head, _ = decodeUTF16(head, true)
	}
	var (
		counts [256]int
		quoted bool
	)
	for _, c := range bytes.TrimLeft(head, "\ufeff\r\n") {
		if c == '"' {
			quoted = !quoted
		}
		if quoted {
			continue
		}
		if c == '\n' || c == '\r' {
			break
		}
		counts[c]++
	}
	best := byte(',')
	for _, c := range []byte(";\t|") {
		if counts[c] > counts[best] {
			best = c
		}
	}
	return best
}
