// Package fonts has the font set of Docmill: faces that stand in for fonts of Microsoft Office, and the table of which font
// stands in for which. With the same fonts and the same LibreOffice, a document has the same pages on every machine.
//
// The faces are built by fonts/build from free fonts; docs/fonts.md describes them.
package fonts

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"unicode"
)

//go:embed faces
var faces embed.FS

//go:embed substitutes.tsv
var table string

// Substitute says which family is used for one that documents name.
type Substitute struct {
	// Names are the names of the wanted family, the English one first.
	Names []string
	// StandIn is the family that is used instead: one of [Faces], or of a package.
	StandIn string
	// Word is the family that is used instead of StandIn for documents of Word; empty if that is StandIn, too.
	Word string
	// Metric reports whether the widths of characters and the height of lines are the same, so that lines break in the same
	// places.
	Metric bool
	// Generic is the kind of the font: sans-serif, serif or monospace.
	Generic string
}

// Wanted returns the English name of the wanted family.
func (s Substitute) Wanted() string { return s.Names[0] }

// Faces returns the files of the font set, in one directory.
func Faces() fs.FS {
	sub, err := fs.Sub(faces, "faces")
	if err != nil {
		panic(err) // the name is valid
	}
	return sub
}

// Substitutes returns all rows of the table, in its order.
func Substitutes() []Substitute { return slices.Clone(parsed().rows) }

// Lookup returns the row for a family, by any of its names.
func Lookup(family string) (Substitute, bool) {
	s, found := parsed().byKey[Key(family)]
	return s, found
}

// StandIn returns the stand-in that a family replaces in Word documents. Any other family is returned unchanged.
func StandIn(family string) string {
	for _, row := range parsed().rows {
		if row.Word != "" && row.Word == family {
			return row.StandIn
		}
	}
	return family
}

// Key returns what all spellings of a family's name have in common: fontconfig ignores case and spaces, and PostScript
// names have no spaces.
func Key(family string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, family)
}

type substitutes struct {
	rows  []Substitute
	byKey map[string]Substitute
}

// parsed parses the table once. It panics if the table is invalid, which the tests rule out.
var parsed = sync.OnceValue(func() substitutes {
	s, err := parse(table)
	if err != nil {
		panic(err)
	}
	return s
})

// generics are the kinds of fonts that fontconfig knows.
var generics = map[string]bool{"sans-serif": true, "serif": true, "monospace": true}

func parse(table string) (substitutes, error) {
	s := substitutes{byKey: map[string]Substitute{}}
	number := 0
	for line := range strings.Lines(table) {
		number++
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) != 5 || slices.Contains(fields, "") || !generics[fields[1]] || fields[0] != "metric" && fields[0] != "similar" {
			return s, fmt.Errorf("substitutes.tsv:%d: not class, kind, stand-in, Word and names", number)
		}
		row := Substitute{
			Metric: fields[0] == "metric", Generic: fields[1], StandIn: fields[2],
			Word: strings.TrimPrefix(fields[3], "-"), Names: strings.Split(fields[4], "|"),
		}
		for _, name := range row.Names {
			key := Key(name)
			// A row may have two spellings of a name: spaces matter in fontconfig's aliases, but not in keys.
			if other, found := s.byKey[key]; key == "" || found && other.Wanted() != row.Wanted() {
				return s, fmt.Errorf("substitutes.tsv:%d: the name %q is empty or in two rows", number, name)
			}
			s.byKey[key] = row
		}
		s.rows = append(s.rows, row)
	}
	return s, nil
}
