package document

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
)

// encoding is the character set of a text without a format.
type encoding int

const (
	utf8Text encoding = iota + 1
	utf16Text
	// ansiText is Windows-1252 by assumption: nothing in the bytes tells it from its relatives.
	ansiText
)

// textImport tells LibreOffice to read plain text. The names are those of its table of character sets
// (sw/source/filter/ascii): UCS2 is UTF-16 of either byte order, decided by the mark.
func textImport(e encoding) Import {
	names := map[encoding]string{utf8Text: "UTF8", utf16Text: "UCS2", ansiText: "MS_1252"}
	return Import{Filter: "Text (encoded)", Options: names[e]}
}

// csvImport tells LibreOffice to read values with a separator. Its tokens are the separator, the quote, the character
// set (76 is UTF-8, 65535 is UTF-16, 1 is Windows-1252) and the first line, as in LibreOffice's help on CSV filters.
func csvImport(e encoding, separator byte) Import {
	sets := map[encoding]string{utf8Text: "76", utf16Text: "65535", ansiText: "1"}
	return Import{
		Filter:  "Text - txt - csv (StarCalc)",
		Options: strings.Join([]string{strconv.Itoa(int(separator)), "34", sets[e], "1"}, ","),
	}
}

// textEncoding tells whether the beginning of a document is text, and in which character set: UTF-8, UTF-16 with a byte
// order mark, or eight bits that look like Windows-1252. cut says that the document goes on after the head.
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

// decodeUTF16 gives a head with a byte order mark as UTF-8; ok is false if it has none.
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

// plain tells whether text holds no control characters but those that texts do hold: backspace to carriage return, the
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

// trimPartialRune takes away the beginning of a character whose rest lies behind the cut.
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

// separator finds what separates the values of a CSV document: the candidate that its first line has most of, outside of
// quotes. A line without any gets a comma.
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
