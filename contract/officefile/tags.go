package officefile

import (
	"bytes"
	"errors"
	"html"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

const (
	// maxTag is the length of the longest tag that is understood, in bytes.
	maxTag = 256 << 10
	// firstTag is the size of the buffer for tags until one does not fit.
	firstTag = 16 << 10
)

var (
	errLongTag = errors.New("a tag is too long")
	errTagCut  = errors.New("the text ends within a tag")
)

// Tag is the start of an element as it is written, without brackets: style:text-properties style:font-name="Arial".
// Prefixes of names are ignored.
type Tag []byte

// ScanTags visits the start tags of an XML stream, in UTF-8 or in UTF-16 with a byte order mark, until visit returns
// false. A tag is only valid during the visit.
//
// This is not a parser and need not be one: it serves to find a few names. encoding/xml reads 10 MB/s, which made the
// scan of a document take as long as its conversion; this reads up to 500. What is not XML at all has no tags, and
// text between tags is not checked.
func ScanTags(r io.Reader, budget *Budget, visit func(Tag) bool) error {
	return scanner{budget, visit, nil}.scan(r)
}

// ScanTagsAndText is like ScanTags and also visits what is between tags, until one of the two returns false: in pieces
// as they are written (see [Unescape]), of which none ends within a character. Comments and CDATA sections are not visited.
func ScanTagsAndText(r io.Reader, budget *Budget, visit func(Tag) bool, visitText func([]byte) bool) error {
	return scanner{budget, visit, visitText}.scan(r)
}

// scanner scans one XML stream.
type scanner struct {
	budget *Budget
	visit  func(Tag) bool
	// visitText may be nil.
	visitText func([]byte) bool
}

func (s scanner) scan(r io.Reader) error {
	budget := s.budget
	text := transform.NewReader(r, unicode.BOMOverride(transform.Nop)) // UTF-16 becomes UTF-8
	if budget.buffer == nil {
		budget.buffer = make([]byte, firstTag)
	}
	buffer := budget.buffer[:0]
	budget.buffer = nil // a visitor may scan, too
	defer func() { budget.buffer = buffer[:cap(buffer)] }()
	for {
		n, err := io.ReadFull(text, buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if spent := budget.Spend(int64(n) / bytesPerUnit); spent != nil {
			return spent
		}
		rest, more, spent := s.visitAll(buffer)
		if spent != nil || !more {
			return spent
		}
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			if len(rest) > 0 {
				return errTagCut
			}
			return nil
		case err != nil:
			return err
		case len(rest) == cap(buffer) && len(rest) >= maxTag:
			return errLongTag
		case len(rest) == cap(buffer):
			buffer = append(make([]byte, 0, 4*cap(buffer)), rest...)
		default:
			buffer = buffer[:copy(buffer[:cap(buffer)], rest)]
		}
	}
}

// visitAll visits the complete tags of a text, and what is between them, until a visit returns false or the budget ends. It
// returns the beginning of the incomplete tag or character.
func (s scanner) visitAll(text []byte) (rest []byte, more bool, err error) {
	var cost int64
	for {
		start := bytes.IndexByte(text, '<')
		if start < 0 {
			return s.visitEnd(text, cost)
		}
		if start > 0 && s.visitText != nil {
			cost += textCost(text[:start])
			if !s.visitText(text[:start]) {
				return nil, false, s.budget.Spend(cost)
			}
		}
		text = text[start:]
		end := tagEnd(text)
		if end < 0 {
			return text, true, s.budget.Spend(cost + int64(len(text))/searchedPerUnit)
		}
		if cost += tagCost(text[:end]); cost >= maxOwed { // before the work, which may be large for a single tag
			if err := s.budget.Spend(cost); err != nil {
				return nil, false, err
			}
			cost = 0
		}
		if isStart(text) && !s.visit(Tag(text[1:end-1])) {
			return nil, false, s.budget.Spend(cost)
		}
		text = text[end:]
	}
}

// visitEnd visits a text without tags, and returns the beginning of its last character if that is incomplete.
func (s scanner) visitEnd(text []byte, cost int64) (rest []byte, more bool, err error) {
	if len(text) == 0 || s.visitText == nil {
		return nil, true, s.budget.Spend(cost)
	}
	whole := len(text)
	for back := 1; back < min(utf8.UTFMax, len(text)+1); back++ {
		if last := text[len(text)-back:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				whole -= back
			}
			break
		}
	}
	more = s.visitText(text[:whole])
	return text[whole:], more, s.budget.Spend(cost + textCost(text))
}

// textCost returns what a piece of text and its visit cost in units of a budget.
func textCost(text []byte) int64 {
	return costTag + int64(len(text))/textBytesPerUnit + costEscape*int64(bytes.Count(text, []byte{'&'}))
}

// isStart reports whether a tag is visited: an end tag, a comment or a declaration is not.
func isStart(tag []byte) bool {
	return tag[1] != '/' && tag[1] != '!' && tag[1] != '?'
}

// tagCost returns what a tag and its visit cost in units of a budget.
func tagCost(tag []byte) int64 {
	if !isStart(tag) {
		return costTag + int64(len(tag))/searchedPerUnit
	}
	return costTag + int64(len(tag))/tagBytesPerUnit +
		costAttribute*int64(bytes.Count(tag, []byte{'='})) + costEscape*int64(bytes.Count(tag, []byte{'&'}))
}

// tagEnd returns the length of the tag, comment or section that a text begins with, or -1 if the text ends before it.
func tagEnd(text []byte) int {
	if len(text) > 1 && (text[1] == '!' || text[1] == '?') {
		if end, special := specialEnd(text); special {
			return end
		}
	}
	// Nearly always the first bracket ends the tag, and this check takes a tenth of the time.
	first := bytes.IndexByte(text, '>')
	if first < 0 {
		return -1
	}
	if bytes.IndexByte(text[:first], '\'') < 0 && bytes.Count(text[:first], []byte{'"'})%2 == 0 {
		return first + 1
	}
	// A plain loop takes 1 ns per byte, whatever is between the quotes. Searches for each quote cost more when nothing is.
	var quote byte
	for i, c := range text {
		switch {
		case quote == 0 && c == '>':
			return i + 1
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote && quote != 0:
			quote = 0
		}
	}
	return -1
}

// specials are the constructs that begin like a tag and end differently.
var specials = []struct{ begin, end []byte }{
	{[]byte("<!--"), []byte("-->")}, {[]byte("<![CDATA["), []byte("]]>")}, {[]byte("<?"), []byte("?>")},
}

func specialEnd(text []byte) (end int, special bool) {
	for _, s := range specials {
		if bytes.HasPrefix(text, s.begin) {
			if i := bytes.Index(text, s.end); i >= 0 {
				return i + len(s.end), true
			}
			return -1, true
		}
	}
	return 0, false
}

// Name returns the element's local name.
func (t Tag) Name() []byte {
	end := bytes.IndexAny(t, " \t\r\n/")
	if end < 0 {
		end = len(t)
	}
	return local(t[:end])
}

func local(name []byte) []byte {
	return name[bytes.LastIndexByte(name, ':')+1:]
}

// Attributes visits the attributes with their local names. The values are as they are written: see [Unescape].
func (t Tag) Attributes(visit func(name, value []byte)) {
	t.attributes(func(name, value []byte) bool {
		visit(local(name), value)
		return true
	})
}

func (t Tag) attributes(visit func(name, value []byte) bool) {
	rest := []byte(t)
	for {
		equals := bytes.IndexByte(rest, '=')
		if equals < 0 {
			return
		}
		name := bytes.TrimSpace(rest[:equals])
		name = name[bytes.LastIndexAny(name, " \t\r\n")+1:]
		rest = bytes.TrimLeft(rest[equals+1:], " \t\r\n")
		if len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
			return
		}
		end := bytes.IndexByte(rest[1:], rest[0])
		if end < 0 || !visit(name, rest[1:end+1]) {
			return
		}
		rest = rest[end+2:]
	}
}

// Get returns the value of an attribute by its local name; empty if there is none.
func (t Tag) Get(wanted string) (found string) {
	t.attributes(func(name, value []byte) bool {
		if string(local(name)) == wanted {
			found = Unescape(value)
			return false
		}
		return true
	})
	return found
}

// GetPrefixed returns the value of an attribute whose name has a prefix, such as r:id beside id; empty if there is
// none.
func (t Tag) GetPrefixed(wanted string) (found string) {
	t.attributes(func(name, value []byte) bool {
		if l := local(name); len(l) < len(name) && string(l) == wanted {
			found = Unescape(value)
			return false
		}
		return true
	})
	return found
}

// Mentions reports whether a word occurs anywhere in the tag.
func (t Tag) Mentions(word string) bool { return bytes.Contains(t, []byte(word)) }

// Unescape resolves the entities of a value. Those that a document declares itself remain as they are.
func Unescape(value []byte) string {
	if bytes.IndexByte(value, '&') < 0 {
		return string(value)
	}
	return html.UnescapeString(string(value))
}
