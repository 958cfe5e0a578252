package preflight

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"golang.org/x/text/encoding/charmap"
)

// maxRTF bounds the bytes that are read of a rich text. Images, which are written as text, are most of a large one.
const maxRTF = 16 << 20

// rtf scans a rich text. Word lists dozens of fonts that are not used, so only those count that are selected
// somewhere.
func (f *finder) rtf(r io.Reader) {
	content, err := io.ReadAll(io.LimitReader(r, maxRTF))
	if err != nil {
		return
	}
	f.characters.addRTF(content)
	table, rest := fontTable(content)
	chosen := map[int]bool{}
	for _, word := range []string{`\f`, `\deff`} {
		for at := 0; ; {
			i := bytes.Index(rest[at:], []byte(word))
			if i < 0 {
				break
			}
			at += i + len(word)
			if n, ok := leadingNumber(rest[at:]); ok {
				chosen[n] = true
			}
		}
	}
	if n, ok := defaultFont(content); ok {
		chosen[n] = true
	}
	for number, name := range table {
		if chosen[number] {
			f.font(name, western)
		}
	}
}

// fontTable reads the group \fonttbl, and also returns what comes after it.
func fontTable(content []byte) (names map[int]string, rest []byte) {
	names = map[int]string{}
	start := bytes.Index(content, []byte(`{\fonttbl`))
	if start < 0 {
		return names, content
	}
	entry := fontEntry{}
	depth := 0
	for i := start; i < len(content); i++ {
		switch c := content[i]; c {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return names, content[i:]
			}
		case '\\':
			i += entry.control(content[i+1:], depth)
		case ';':
			if depth <= 2 {
				if len(names) < maxDistinct {
					names[entry.number] = entry.name.String()
				}
				entry = fontEntry{}
			}
		default:
			if depth <= 2 && c >= ' ' && entry.name.Len() < 4*maxFontName { // alternatives and the like are nested deeper
				entry.name.WriteByte(c)
			}
		}
	}
	return names, nil
}

// fontEntry is the font of the table that is being read.
type fontEntry struct {
	number int
	name   strings.Builder
}

// control reads what comes after a backslash and returns its length.
func (e *fontEntry) control(rest []byte, depth int) int {
	if len(rest) >= 3 && rest[0] == '\'' {
		if code, err := strconv.ParseUint(string(rest[1:3]), 16, 8); err == nil && depth <= 2 {
			e.name.WriteRune(charmap.Windows1252.DecodeByte(byte(code)))
		}
		return 3
	}
	letters := 0
	for letters < len(rest) && rest[letters] >= 'a' && rest[letters] <= 'z' {
		letters++
	}
	if letters == 0 {
		return min(1, len(rest))
	}
	length := letters
	for length < len(rest) && (rest[length] >= '0' && rest[length] <= '9' || rest[length] == '-') {
		length++
	}
	if string(rest[:letters]) == "f" {
		e.number, _ = leadingNumber(rest[letters:])
	}
	if length < len(rest) && rest[length] == ' ' {
		length++
	}
	return length
}

// defaultFont reads \deff, which comes before the table.
func defaultFont(content []byte) (int, bool) {
	_, after, found := bytes.Cut(content[:min(len(content), 1024)], []byte(`\deff`))
	if !found {
		return 0, false
	}
	return leadingNumber(after)
}

func leadingNumber(text []byte) (int, bool) {
	end := 0
	for end < len(text) && end < 6 && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(string(text[:end]))
	return n, err == nil
}
