package detect

import (
	"bytes"
	"io"
	"strings"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

const (
	// maxProlog bounds the bytes of XML that are read to find the declarations before its root.
	maxProlog = 64 << 10
	// costDeclaration and costDeclared, for each byte of it, are in units of an officefile.Budget.
	costDeclaration, costDeclared = 40, 4

	blank      = " \t\r\n"
	notInNames = blank + `"'<>&%;#`
)

// mayDeclareEntities reports whether a head is that of XML whose root is still to come, in UTF-8 or in UTF-16 with
// its mark: entities are declared before the root.
func mayDeclareEntities(head []byte) bool {
	text := bytes.TrimPrefix(inUTF8(head), byteOrderMark)
	for {
		text = bytes.TrimLeft(text, blank)
		if !bytes.HasPrefix(text, []byte("<?")) {
			break
		}
		_, rest, ended := bytes.Cut(text, []byte("?>"))
		if !ended {
			return true
		}
		text = rest
	}
	return bytes.HasPrefix(text, []byte("<!")) || len(text) == 0 && len(head) > 0
}

var byteOrderMark = []byte("\ufeff")

func inUTF8(head []byte) []byte {
	if decoded, ok := decodeUTF16(head, true); ok {
		return decoded
	}
	return head
}

// prolog refuses XML whose entities grow: those that refer to other entities, and so grow with each step, and long
// ones, which grow with each use. References to anything outside the document are ignored: nothing reads that. Unless
// data is the last, enough is false when the prolog does not end in it.
func (i *inspection) prolog(data []byte, last bool) (enough bool, err error) {
	if i.limits.Entity <= 0 {
		return true, nil
	}
	text, _ := io.ReadAll(transform.NewReader(bytes.NewReader(data), unicode.BOMOverride(transform.Nop)))
	if !i.afford(int64(len(text))) {
		return true, nil
	}
	subset, complete := internalSubset(text)
	if !complete && !last {
		return false, nil
	}
	if !bytes.Contains(subset, []byte("<!ENTITY")) {
		return true, nil
	}
	if !complete {
		return true, tooComplex("XML with a document type of more than %d KiB", maxProlog>>10)
	}
	declared, size := entities(subset)
	if i.declared += size; i.declared > maxDeclarations {
		return true, tooComplex("more than %d KiB of entity declarations", maxDeclarations>>10)
	}
	if !i.afford(int64(len(declared))*costDeclaration + int64(size)*costDeclared) {
		return true, nil
	}
	if largest(declared, i.limits.Entity) > i.limits.Entity {
		return true, tooComplex("XML whose entities expand to more than %d bytes", i.limits.Entity)
	}
	return true, nil
}

// internalSubset returns what is in the brackets of a document type; nothing if there are none. It is complete unless
// the text ends before the document type, or before the root of a document without one.
func internalSubset(text []byte) (subset []byte, complete bool) {
	text, complete = documentType(text)
	for at := 0; at < len(text); at++ {
		switch c := text[at]; c {
		case '"', '\'':
			length := bytes.IndexByte(text[at+1:], c)
			if length < 0 {
				return nil, false
			}
			at += length + 1
		case '[':
			subset = text[at+1:]
			end := subsetEnd(subset)
			if end < 0 {
				return subset, false
			}
			return subset[:end], true
		case '>':
			return nil, true
		}
	}
	return nil, complete
}

// documentType returns a text from its document type on; nothing if it has none. It is complete if it has one, or if
// the root is there.
func documentType(text []byte) (rest []byte, complete bool) {
	text = bytes.TrimPrefix(text, byteOrderMark)
	for {
		text = bytes.TrimLeft(text, blank)
		var length int
		switch {
		case bytes.HasPrefix(text, []byte("<!DOCTYPE")):
			return text, false
		case bytes.HasPrefix(text, []byte("<!--")):
			length = pastEnd(text, "-->")
		case bytes.HasPrefix(text, []byte("<?")):
			length = pastEnd(text, "?>")
		default:
			return nil, len(text) >= len("<!DOCTYPE")
		}
		if length < 0 {
			return nil, false
		}
		text = text[length:]
	}
}

// subsetEnd returns the length of an internal subset: up to the first bracket outside of comments, instructions and
// the strings of declarations, or -1 if there is none.
func subsetEnd(text []byte) int {
	for at := 0; at < len(text); {
		length := 1
		switch rest := text[at:]; {
		case rest[0] == ']':
			return at
		case bytes.HasPrefix(rest, []byte("<!--")):
			length = pastEnd(rest, "-->")
		case bytes.HasPrefix(rest, []byte("<?")):
			length = pastEnd(rest, "?>")
		case bytes.HasPrefix(rest, []byte("<!")):
			length = declarationEnd(rest)
		}
		if length < 0 {
			return -1
		}
		at += length
	}
	return -1
}

func pastEnd(text []byte, end string) int {
	if i := bytes.Index(text, []byte(end)); i >= 0 {
		return i + len(end)
	}
	return -1
}

// declarationEnd returns the length of the declaration that a text begins with, or -1 if it does not end.
func declarationEnd(text []byte) int {
	for at := 0; at < len(text); at++ {
		switch c := text[at]; c {
		case '"', '\'':
			length := bytes.IndexByte(text[at+1:], c)
			if length < 0 {
				return -1
			}
			at += length + 1
		case '>':
			return at + 1
		}
	}
	return -1
}

// entityName identifies an entity: general ones are used as &name; and those of parameters as %name;.
type entityName struct {
	kind byte
	name string
}

// entities returns the values of the entities that a subset declares, and how many bytes declare them.
func entities(subset []byte) (declared map[entityName]string, size int) {
	declared = map[entityName]string{}
	for {
		start := bytes.Index(subset, []byte("<!ENTITY"))
		if start < 0 {
			return declared, size
		}
		subset = subset[start+len("<!ENTITY"):]
		name, value, length := declaration(subset)
		size += len("<!ENTITY") + length
		if _, again := declared[name]; !again && name.name != "" { // the first declaration counts
			declared[name] = value
		}
		subset = subset[length:]
	}
}

// declaration reads the name and value of an entity, and returns the length of both. An entity without a value of its
// own has no name here.
func declaration(text []byte) (name entityName, value string, length int) {
	rest := bytes.TrimLeft(text, blank)
	name.kind = '&'
	if bytes.HasPrefix(rest, []byte("%")) {
		name.kind, rest = '%', bytes.TrimLeft(rest[1:], blank)
	}
	end := bytes.IndexAny(rest, notInNames)
	if end <= 0 {
		return entityName{}, "", 0
	}
	name.name = string(rest[:end])
	rest = bytes.TrimLeft(rest[end:], blank)
	if len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
		return entityName{}, "", len(text) - len(rest)
	}
	closing := bytes.IndexByte(rest[1:], rest[0])
	if closing < 0 {
		return entityName{}, "", len(text) - len(rest)
	}
	return name, string(rest[1 : closing+1]), len(text) - len(rest) + closing + 2
}

// sizer computes the sizes to which entities expand.
type sizer struct {
	declared map[entityName]string
	limit    int
	sizes    map[entityName]int
}

// largest returns the size that the largest entity expands to, or something above limit.
func largest(declared map[entityName]string, limit int) int {
	s := sizer{declared, limit, map[entityName]int{}}
	size := 0
	for name := range declared {
		size = max(size, s.size(name))
	}
	return size
}

func (s sizer) size(name entityName) int {
	if size, known := s.sizes[name]; known {
		return size
	}
	value, found := s.declared[name]
	if !found {
		return len(name.name) + 2
	}
	s.sizes[name] = s.limit + 1 // what refers to itself has no end
	size := len(value)
	for size <= s.limit {
		target, length, rest := reference(value)
		if length == 0 {
			break
		}
		// A character reference hides which of the two kinds is meant.
		size += max(s.size(entityName{'&', target}), s.size(entityName{'%', target})) - length
		value = rest
	}
	s.sizes[name] = min(size, s.limit+1)
	return s.sizes[name]
}

// reference finds the first reference in a value: its name, its length, and what comes after it. The length is 0 if
// there is none.
func reference(value string) (name string, length int, rest string) {
	for {
		start := strings.IndexAny(value, "&%")
		if start < 0 {
			return "", 0, ""
		}
		value = value[start:]
		rest = value[1:]
		if value[0] == '&' && strings.HasPrefix(rest, "#") {
			rest = afterCharacter(rest[1:])
		}
		end := strings.IndexAny(rest, notInNames)
		if end > 0 && rest[end] == ';' {
			return rest[:end], len(value) - len(rest) + end + 1, rest[end+1:]
		}
		value = value[1:]
	}
}

// afterCharacter returns what comes after a character reference that stands for & or %; nothing if it is another one.
func afterCharacter(text string) string {
	codes := []string{"38;", "37;"}
	if strings.HasPrefix(text, "x") {
		codes, text = []string{"26;", "25;"}, text[1:]
	}
	text = strings.TrimLeft(text, "0")
	for _, code := range codes {
		if rest, ok := strings.CutPrefix(text, code); ok {
			return rest
		}
	}
	return ""
}
