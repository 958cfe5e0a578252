package preflight

import (
	"archive/zip"
	"bytes"
	"html"
	"io"
	"strings"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

const (
	// maxInflated bounds what is scanned of a document: a tenth of a second, or half a one of nothing but tags. A novel has 5 MiB.
	maxInflated = 32 << 20
	// maxPart bounds what is scanned of one part.
	maxPart = 16 << 20
	// maxTag is the length of the longest tag that is understood, in bytes.
	maxTag = 256 << 10
)

// tag is the start of an element as it is written: <style:text-properties style:font-name="Arial"/>. Prefixes count for
// nothing here.
type tag []byte

// scan visits the start tags of an XML stream until its end, what is no XML any more, or the end of the budget.
//
// This is no parser, and need not be one: it looks for a few names. encoding/xml read 10 MB/s, so that a scan took as long as
// the conversion; this reads 500, and what cannot be had from a tag is not wanted.
func (f *finder) scan(r io.Reader, visit func(tag)) {
	limited := &io.LimitedReader{R: r, N: min(maxPart, f.budget)}
	whole := limited.N
	defer func() { f.budget -= whole - limited.N }()
	text := transform.NewReader(limited, unicode.BOMOverride(transform.Nop)) // UTF-16 becomes UTF-8
	buffer := f.buffer[:0]
	for !f.over() {
		n, err := io.ReadFull(text, buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		rest := visitTags(buffer, visit)
		if err != nil || len(rest) == cap(buffer) {
			return
		}
		buffer = buffer[:copy(buffer[:cap(buffer)], rest)]
	}
}

// visitTags visits the tags that are whole, and gives the beginning of what is not.
func visitTags(text []byte, visit func(tag)) (rest []byte) {
	for {
		start := bytes.IndexByte(text, '<')
		if start < 0 {
			return nil
		}
		text = text[start:]
		end := tagEnd(text)
		if end < 0 {
			return text
		}
		if c := text[1]; c != '/' && c != '!' && c != '?' {
			visit(tag(text[1 : end-1]))
		}
		text = text[end:]
	}
}

// tagEnd gives the length of the tag, comment or section that a text begins with; -1 when it is not all there.
func tagEnd(text []byte) int {
	for _, special := range []struct{ begin, end string }{{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}} {
		if bytes.HasPrefix(text, []byte(special.begin)) {
			if i := bytes.Index(text, []byte(special.end)); i >= 0 {
				return i + len(special.end)
			}
			return -1
		}
	}
	// Nearly always the first bracket ends it, and that is seen at a tenth of the cost.
	first := bytes.IndexByte(text, '>')
	if first < 0 {
		return -1
	}
	if bytes.IndexByte(text[:first], '\'') < 0 && bytes.Count(text[:first], []byte{'"'})%2 == 0 {
		return first + 1
	}
	for at := 1; ; {
		i := bytes.IndexAny(text[at:], `>"'`)
		if i < 0 {
			return -1
		}
		at += i + 1
		if text[at-1] == '>' {
			return at
		}
		closing := bytes.IndexByte(text[at:], text[at-1])
		if closing < 0 {
			return -1
		}
		at += closing + 1
	}
}

// name gives the element's local name.
func (t tag) name() []byte {
	end := bytes.IndexAny(t, " \t\r\n/")
	if end < 0 {
		end = len(t)
	}
	return local(t[:end])
}

func local(name []byte) []byte {
	return name[bytes.LastIndexByte(name, ':')+1:]
}

// attributes visits the attributes by their local names. The values are as they are written: see plain.
func (t tag) attributes(visit func(name, value []byte)) {
	rest := []byte(t)
	for {
		equals := bytes.IndexByte(rest, '=')
		if equals < 0 {
			return
		}
		name := bytes.TrimSpace(rest[:equals])
		name = local(name[bytes.LastIndexAny(name, " \t\r\n")+1:])
		rest = bytes.TrimLeft(rest[equals+1:], " \t\r\n")
		if len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
			return
		}
		end := bytes.IndexByte(rest[1:], rest[0])
		if end < 0 {
			return
		}
		visit(name, rest[1:end+1])
		rest = rest[end+2:]
	}
}

// get gives an attribute; empty if there is none.
func (t tag) get(wanted string) (found string) {
	t.attributes(func(name, value []byte) {
		if string(name) == wanted && found == "" {
			found = plain(value)
		}
	})
	return found
}

// plain resolves the entities of a value. Those that a document declares itself stay as they are.
func plain(value []byte) string { return html.UnescapeString(string(value)) }

// mentions tells whether a word occurs in the tag at all.
func (t tag) mentions(word string) bool { return bytes.Contains(t, []byte(word)) }

// part is an entry of a package.
type part struct {
	*zip.File

	// key is its name with slashes and in lower case: the case of names does not count.
	key string
}

func newPart(file *zip.File) part {
	return part{file, strings.ToLower(strings.ReplaceAll(file.Name, `\`, "/"))}
}

func (f *finder) scanPart(p part, visit func(tag)) {
	if f.budget <= 0 || f.over() {
		return
	}
	r, err := p.Open()
	if err != nil {
		return
	}
	defer r.Close()
	f.scan(r, visit)
}
