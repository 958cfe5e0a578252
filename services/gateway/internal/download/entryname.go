package download

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxEntryName is the maximum length of a name in bytes. The usual file systems allow 255; accepted may add one.
const maxEntryName = 254

// reserved are the names of devices, which Windows does not accept as names of files, with any extension.
var reserved = []string{
	"con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9",
	"lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
}

// entryNames are the names of the files of an archive, as the common file systems compare them: without regard to case
// and to how accents are encoded.
type entryNames map[string]bool

// next returns a name for a file that every system can extract and that no other file of the archive has: "deck.pdf",
// "deck (2).pdf".
func (taken entryNames) next(filename string) string {
	extension := path.Ext(filename)
	stem := strings.TrimSuffix(filename, extension)
	if len(extension) > 16 { // a full stop in a name without an extension
		stem, extension = filename, ""
	}
	for n := 1; ; n++ {
		number := ""
		if n > 1 {
			number = fmt.Sprintf(" (%d)", n)
		}
		suffix := number + replaced(extension)
		name := accepted(shortened(replaced(stem), maxEntryName-len(suffix)) + suffix)
		key := strings.ToLower(norm.NFKC.String(name))
		if !taken[key] {
			taken[key] = true
			return name
		}
	}
}

// replaced replaces what has a meaning for a file system, and the controls of the writing direction, which can make a name
// look like another.
func replaced(name string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) || strings.ContainsRune(`/\:*?"<>|`, c) || c == utf8.RuneError {
			return '_'
		}
		return c
	}, name)
}

// accepted changes names that a file system would not accept, or change by itself.
func accepted(name string) string {
	device, _, _ := strings.Cut(name, ".")
	if slices.Contains(reserved, strings.ToLower(strings.TrimSpace(device))) || strings.Trim(name, ". ") == "" {
		name = "_" + name
	}
	if strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") { // Windows removes them
		name = name[:len(name)-1] + "_"
	}
	return name
}

// shortened returns the beginning of a text, at most n bytes.
func shortened(text string, n int) string {
	for len(text) > n {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}
