package document

import (
	"bytes"
	"io"
	"regexp"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// maxProlog bounds what is read of XML to find the declarations before its root.
const maxProlog = 64 << 10

// mayDeclareEntities tells whether a head is that of XML whose root is still to come, in UTF-8 or in UTF-16 with its mark:
// entities are declared before the root.
func mayDeclareEntities(head []byte) bool {
	text, isXML := inUTF8(head), false
	for {
		text = bytes.TrimLeft(text, "\ufeff \t\r\n")
		if !bytes.HasPrefix(text, []byte("<?")) {
			break
		}
		isXML = true
		_, rest, ended := bytes.Cut(text, []byte("?>"))
		if !ended {
			return true
		}
		text = rest
	}
	return bytes.HasPrefix(text, []byte("<!")) || isXML && len(text) == 0
}

func inUTF8(head []byte) []byte {
	if decoded, ok := decodeUTF16(head, true); ok {
		return decoded
	}
	return head
}

// prolog refuses XML whose entities grow: those that refer to other entities, and so grow with each step, and long ones,
// which grow with each use. References to what lies outside of the document are not looked at: nothing reads that.
func (i *inspection) prolog(r io.Reader) error {
	if i.limits.Entity <= 0 {
		return nil
	}
	decoded := transform.NewReader(io.LimitReader(r, maxProlog), unicode.BOMOverride(transform.Nop))
	text, _ := io.ReadAll(decoded) // as far as it can be read
	subset := internalSubset(text)
	if !bytes.Contains(subset, []byte("<!ENTITY")) {
		return nil
	}
	if !regexp.MustCompile(`\]\s*>`).Match(subset) {
		return tooComplex("XML with a document type of more than %d KiB", maxProlog>>10)
	}
	if largest(entities(subset), i.limits.Entity) > i.limits.Entity {
		return tooComplex("XML whose entities expand to more than %d bytes", i.limits.Entity)
	}
	return nil
}

// internalSubset gives what stands in the brackets of a document type, and all that follows; nothing if there are none.
func internalSubset(text []byte) []byte {
	_, text, _ = bytes.Cut(text, []byte("<!DOCTYPE"))
	quote := byte(0)
	for i, c := range text {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '[':
			return text[i+1:]
		case c == '>':
			return nil
		}
	}
	return nil
}

// entities gives the values of the entities that a document type declares, by their names: "&name;" or "%name;".
func entities(subset []byte) map[string]string {
	declaration := regexp.MustCompile(`<!ENTITY\s+(%\s+)?([^\s"'<>&%]+)\s+(?:"([^"]*)"|'([^']*)')`)
	declared := map[string]string{}
	for _, m := range declaration.FindAllSubmatch(subset, -1) {
		name := "&" + string(m[2]) + ";"
		if len(m[1]) > 0 {
			name = "%" + string(m[2]) + ";"
		}
		if _, again := declared[name]; !again { // the first declaration counts
			declared[name] = string(m[3]) + string(m[4])
		}
	}
	return declared
}

// largest gives the size that the largest entity expands to, or something above limit.
func largest(declared map[string]string, limit int) int {
	reference := regexp.MustCompile(`(?:[&%]|&#0*38;|&#0*37;|&#x0*2[56];)([^\s"'<>&%;#]+;)`)
	sizes := map[string]int{}
	var sizeOf func(name string) int
	sizeOf = func(name string) int {
		if size, known := sizes[name]; known {
			return size
		}
		value, found := declared[name]
		if !found {
			return len(name)
		}
		sizes[name] = limit + 1 // what refers to itself has no end
		size := len(value)
		for _, m := range reference.FindAllStringSubmatch(value, -1) {
			// A character reference hides which of the two kinds is meant.
			if size += max(sizeOf("&"+m[1]), sizeOf("%"+m[1])) - len(m[0]); size > limit {
				size = limit + 1
				break
			}
		}
		sizes[name] = size
		return size
	}
	most := 0
	for name := range declared {
		most = max(most, sizeOf(name))
	}
	return most
}
