package preflight

import (
	"bytes"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	encoding "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/docmill/docmill/contract/officefile"
)

// characters is a set of the characters that are drawn with glyphs of their own. ASCII is not recorded, because every font
// has it; nor are marks, which are combined with letters, and private characters, whose meaning depends on their font.
type characters map[rune]uint64 // bitmaps of 64 characters

// add adds the characters of a text in UTF-8.
func (c characters) add(text []byte) {
	for len(text) > 0 {
		i := bytes.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
		if i < 0 {
			return
		}
		r, length := utf8.DecodeRune(text[i:])
		c.addRune(r)
		text = text[i+length:]
	}
}

func (c characters) addRune(r rune) {
	block, bit := r/64, uint64(1)<<(r%64)
	if r >= utf8.RuneSelf && c[block]&bit == 0 && isDrawn(r) {
		c[block] |= bit
	}
}

func isDrawn(r rune) bool {
	return r != utf8.RuneError && unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) &&
		!unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// sorted returns the characters in the order of their numbers.
func (c characters) sorted() []rune {
	var all []rune
	for _, block := range slices.Sorted(maps.Keys(c)) {
		for i := range rune(64) {
			if c[block]&(1<<i) != 0 {
				all = append(all, block*64+i)
			}
		}
	}
	return all
}

// addXML adds the text between tags, as it is written. Text that is not valid UTF-8 is skipped: it comes from encrypted parts
// of OpenDocument.
func (c characters) addXML(text []byte) {
	if !utf8.Valid(text) {
		return
	}
	if bytes.IndexByte(text, '&') >= 0 {
		text = []byte(officefile.Unescape(text))
	}
	c.add(text)
}

// addPlain adds a plain text in UTF-8, or in UTF-16 with a byte order mark. One in another character set has no characters
// that fonts lack.
func (c characters) addPlain(r io.Reader) {
	text, err := io.ReadAll(io.LimitReader(transform.NewReader(r, encoding.BOMOverride(transform.Nop)), maxPart))
	if err != nil {
		return
	}
	for range utf8.UTFMax { // the limit may have cut a character
		if last, _ := utf8.DecodeLastRune(text); last != utf8.RuneError || len(text) == 0 {
			break
		}
		text = text[:len(text)-1]
	}
	if utf8.Valid(text) {
		c.add(text)
	}
}

// addRTF adds what a rich text writes as \uN: a number of 16 bits with a sign.
func (c characters) addRTF(content []byte) {
	var high rune
	for {
		_, rest, found := bytes.Cut(content, []byte(`\u`))
		if !found {
			return
		}
		content = rest
		length := 0
		for length < min(len(rest), 6) && (rest[length] == '-' || rest[length] >= '0' && rest[length] <= '9') {
			length++
		}
		number, err := strconv.ParseInt(string(rest[:length]), 10, 32)
		if err != nil {
			continue
		}
		unit := rune(uint16(number))
		if utf16.IsSurrogate(unit) {
			if pair := utf16.DecodeRune(high, unit); pair != unicode.ReplacementChar {
				c.addRune(pair)
			}
			high = unit
			continue
		}
		c.addRune(unit)
	}
}

// isShown reports whether the text of a part of Office Open XML is on its pages, slides or sheets.
func isShown(key string) bool {
	directory, name := path.Split(key)
	switch directory {
	case "word/":
		return strings.HasPrefix(name, "document") || strings.HasPrefix(name, "header") || strings.HasPrefix(name, "footer") ||
			name == "footnotes.xml" || name == "endnotes.xml"
	case "xl/":
		return name == "sharedstrings.xml"
	case "ppt/slides/":
		return true
	default:
		return strings.HasSuffix(directory, "/charts/") || directory == "xl/drawings/" ||
			strings.HasSuffix(directory, "/diagrams/") && strings.HasPrefix(name, "drawing")
	}
}

// shownText wraps the visitor of a part's tags, and returns it with a visitor of the text. The latter skips deleted text
// and field codes.
func (f *finder) shownText(visit func(officefile.Tag)) (tags func(officefile.Tag), text func([]byte)) {
	skip := false
	tags = func(e officefile.Tag) {
		name := e.Name()
		skip = string(name) == "delText" || string(name) == "instrText"
		visit(e)
	}
	text = func(content []byte) {
		if !skip {
			f.characters.addXML(content)
		}
	}
	return tags, text
}
